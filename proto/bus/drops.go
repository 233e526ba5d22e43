package bus

import (
	"sync"
	"time"
)

const (
	dropPause    = time.Minute
	dropSubjects = 4096
)

// drops counts messages that are not used, so that who sends them does not fill
// the log: one line for a subject in every dropPause, and in all at most
// dropSubjects. The zero value is ready.
type drops struct {
	mu       sync.Mutex
	subjects map[string]dropped
	cleared  time.Time // of those that may be logged again
}

// A dropped is what was dropped of one subject.
type dropped struct {
	logged time.Time // the last time
	count  int       // since then
}

// add counts a message that is dropped at the time now. It returns how many were
// since that was last logged, or zero if it is not to be logged now.
func (d *drops) add(subject string, now time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, known := d.subjects[subject]
	if known && now.Sub(old.logged) < dropPause {
		old.count++
		d.subjects[subject] = old
		return 0
	}
	if !known && !d.room(now) {
		return 0
	}
	d.subjects[subject] = dropped{logged: now}
	return old.count + 1
}

// room reports whether there is room for one more subject. A full map forgets
// those that may be logged again, but looks for them once in every dropPause only.
func (d *drops) room(now time.Time) bool {
	if d.subjects == nil {
		d.subjects = make(map[string]dropped)
	}
	if len(d.subjects) < dropSubjects || now.Sub(d.cleared) < dropPause {
		return len(d.subjects) < dropSubjects
	}
	d.cleared = now
	for s, old := range d.subjects {
		if now.Sub(old.logged) >= dropPause {
			delete(d.subjects, s)
		}
	}
	return len(d.subjects) < dropSubjects
}
