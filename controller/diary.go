package controller

import (
	"fmt"
	"sync"
	"time"

	"kedge/proto"
)

// How many entries of the audit are about what a host did itself: more than any needs that
// means well, and so few that they fill no disk.
const (
	diaryEntries = 6 // three reboots
	diaryWindow  = time.Hour
)

// A diary says what of that which hosts do themselves is in the audit. What it remembers is
// bounded by the number of hosts with credentials. The zero value is empty. Safe for
// concurrent use.
type diary struct {
	mu    sync.Mutex // guards what follows
	pages map[proto.HostName]diaryPage
}

// A diaryPage is what one host did.
type diaryPage struct {
	since   time.Time // when the window began
	entries int       // since then
	leftOut int       // since the last entry
}

// enter reports whether what host did now gets an entry, and how many things that it did
// got none since the last one, this one included.
func (d *diary) enter(host proto.HostName, now time.Time) (leftOut int, entry bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pages[host]
	if now.Sub(p.since) >= diaryWindow {
		p.since, p.entries = now, 0
	}
	if entry = p.entries < diaryEntries; entry {
		leftOut, p.leftOut = p.leftOut, 0
		p.entries++
	} else {
		p.leftOut++
		leftOut = p.leftOut
	}
	if d.pages == nil {
		d.pages = make(map[proto.HostName]diaryPage)
	}
	d.pages[host] = p
	return leftOut, entry
}

// afterGap returns message, with how many entries would have come before it.
func afterGap(message string, leftOut int) string {
	if leftOut == 0 {
		return message
	}
	return fmt.Sprintf("%s; %d entries about this host before this one were left out", message, leftOut)
}
