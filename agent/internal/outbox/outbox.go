// Package outbox keeps the host's events until they are published: each in a
// file of its own, in order, through crashes and days without a network. An event
// that somebody else keeps for a while can be lent to it: it has a file only if it
// is not published by then, or another one follows that has.
//
// It is bounded: a host that is cut off for very long forgets its oldest
// events, and says how many. An event may be published twice, if the host
// dies between publishing and deleting it; its ID tells.
package outbox

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"kedge/internal/durable"
	"kedge/proto"
)

// DefaultLimit is how many events are kept at most.
const DefaultLimit = 1000

const (
	dirPerm  fs.FileMode = 0o700
	filePerm fs.FileMode = 0o600
	// tornLimit is how many unreadable files are kept for a person to look at.
	tornLimit = 10
)

// Options is what an outbox needs.
type Options struct {
	Dir   string       // required; made when it is missing
	Limit int          // events kept at most; defaults to DefaultLimit
	Log   *slog.Logger // required
}

// An Outbox is a durable queue of events. It is safe for concurrent use, by one
// process.
type Outbox struct {
	dir   string
	limit int
	log   *slog.Logger
	added chan struct{}

	drain sync.Mutex // held by the one who drains

	mu      sync.Mutex // guards what follows
	queue   []entry    // ascending by number
	next    uint64     // number of the next event
	dropped uint64
	torn    uint64
}

// Open opens the outbox in o.Dir, with what an earlier process left there.
func Open(o Options) (*Outbox, error) {
	if err := durable.MkdirAll(o.Dir, dirPerm); err != nil {
		return nil, fmt.Errorf("open outbox: %w", err)
	}
	files, err := os.ReadDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open outbox: %w", err)
	}
	b := &Outbox{dir: o.Dir, limit: cmp.Or(o.Limit, DefaultLimit), log: o.Log, added: make(chan struct{}, 1), next: 1}
	for _, f := range files {
		e, ok := parseEntry(f.Name())
		switch {
		case ok:
			b.queue = append(b.queue, e)
			b.next = max(b.next, e.number+1)
		case strings.HasPrefix(f.Name(), "."):
			// What a write that died left behind.
			if err := os.Remove(filepath.Join(o.Dir, f.Name())); err != nil {
				return nil, fmt.Errorf("open outbox: %w", err)
			}
		}
	}
	slices.SortFunc(b.queue, func(x, y entry) int { return cmp.Compare(x.number, y.number) })
	if len(b.queue) > 0 {
		b.ring()
	}
	return b, nil
}

// Add queues e, after all that were added before. When it returns nil, e is on
// the disk, and so is all before it. An event with an ID that is queued already is
// not queued again. If the outbox is full, the oldest event is dropped.
func (b *Outbox) Add(e proto.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.add(e); err != nil {
		return fmt.Errorf("queue event %s: %w", e.ID, err)
	}
	return nil
}

func (b *Outbox) add(e proto.Event) error {
	if err := b.keep(); err != nil {
		return err
	}
	if err := b.queueUp(e); err != nil {
		return err
	}
	if err := b.keep(); err != nil {
		b.queue = b.queue[:len(b.queue)-1] // that is e, and nobody else keeps it
		return err
	}
	return nil
}

// Lend queues e as Add does, but writes nothing: who lends it keeps it on the disk
// until it was delivered, or [Outbox.Keep] has returned nil.
func (b *Outbox) Lend(e proto.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.queueUp(e); err != nil {
		return fmt.Errorf("queue event %s: %w", e.ID, err)
	}
	return nil
}

// Keep puts on the disk what was lent and is not delivered yet.
func (b *Outbox) Keep() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.keep(); err != nil {
		return fmt.Errorf("keep events: %w", err)
	}
	return nil
}

// queueUp puts e at the end of the queue, and in no file; b.mu is held.
func (b *Outbox) queueUp(e proto.Event) error {
	data, err := e.Encode()
	if err != nil {
		return err
	}
	// What cannot be read back would be lost later.
	if _, err := proto.ParseEvent(data); err != nil {
		return err
	}
	key := keyOf(e.ID)
	if slices.ContainsFunc(b.queue, func(q entry) bool { return q.key == key }) {
		return nil
	}
	for len(b.queue) >= b.limit {
		if err := b.dropOldest(); err != nil {
			return fmt.Errorf("make room: %w", err)
		}
	}
	b.queue = append(b.queue, entry{number: b.next, key: key, lent: &e})
	b.next++
	b.ring()
	return nil
}

// keep gives every event its file, the oldest first; b.mu is held.
func (b *Outbox) keep() error {
	for i, q := range b.queue {
		if q.lent == nil {
			continue
		}
		data, err := q.lent.Encode()
		if err != nil {
			return err
		}
		if err := durable.WriteFile(b.path(q), data, filePerm); err != nil {
			return err
		}
		b.queue[i].lent = nil
	}
	return nil
}

// dropOldest forgets the oldest event; b.mu is held.
func (b *Outbox) dropOldest() error {
	if err := durable.Remove(b.path(b.queue[0])); err != nil {
		return err
	}
	b.queue = b.queue[1:]
	b.dropped++
	return nil
}

// Added returns a channel that gets a value when there is something to drain:
// after Add, and after Open if events were left. Several may become one.
func (b *Outbox) Added() <-chan struct{} { return b.added }

func (b *Outbox) ring() {
	select {
	case b.added <- struct{}{}:
	default:
	}
}

// Len returns how many events are queued.
func (b *Outbox) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// Dropped returns how many events were lost since Open: because the outbox was
// full, or because they were discarded.
func (b *Outbox) Dropped() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

// Torn returns how many files since Open could not be read and were set aside.
func (b *Outbox) Torn() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.torn
}

// setAside renames the file of an event that cannot be read, for a person to
// look at, and forgets it.
func (b *Outbox) setAside(e entry) error {
	path := b.path(e)
	if err := os.Rename(path, path+tornSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := b.limitTorn(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.torn++
	b.forget(e)
	return nil
}

// limitTorn removes the oldest files that were set aside but for a few.
func (b *Outbox) limitTorn() error {
	torn, err := filepath.Glob(filepath.Join(b.dir, "*"+tornSuffix))
	if err != nil {
		return err
	}
	slices.Sort(torn)
	for len(torn) > tornLimit {
		if err := os.Remove(torn[0]); err != nil {
			return err
		}
		torn = torn[1:]
	}
	return nil
}

// forget takes e out of the queue; b.mu is held.
func (b *Outbox) forget(e entry) {
	b.queue = slices.DeleteFunc(b.queue, func(q entry) bool { return q.number == e.number })
}

func (b *Outbox) path(e entry) string { return filepath.Join(b.dir, e.name()) }
