package replica

import (
	"context"
	"errors"
	"time"

	"kedge/proto/bus"
)

// A mark is a message on the bus, as it was when it was read. What another stream has in
// its place was stored at another instant, if anything is there.
type mark struct {
	seq  uint64
	time time.Time
}

func markOf(raw bus.Raw) mark { return mark{seq: raw.Seq, time: raw.Time.UTC()} }

// marks are the lease of the leader as it was read last, and what was read last of all.
//
// The lease is written every few seconds, whatever happens, so that the version that was
// read is still there for whoever was not cut off: the bucket keeps several. Anything else
// may be dropped much sooner, when newer versions of it come; but what is the newest of
// all never is, so that it is missed where nothing came after it.
type marks struct{ lease, last mark }

// isSame reports whether the bus still has the stream that was read from: one that was
// made anew, put back from a copy, or lost the newest has sequence numbers of before for
// other things. That is asked of it, and an error says that it did not answer. Who was
// cut off for so long that nothing shows it hears no.
func (s *Store) isSame(ctx context.Context) (bool, error) {
	lease, err := s.first(ctx, s.marks.lease.seq)
	if err != nil || lease != s.marks.lease {
		return false, err
	}
	last, err := s.first(ctx, s.marks.last.seq)
	return err == nil && (last == s.marks.last || last.seq > s.marks.last.seq), err
}

// first returns the mark of the first message from a sequence number on; none if there is
// none, and before there is anything.
func (s *Store) first(ctx context.Context, from uint64) (mark, error) {
	if from == 0 {
		return mark{}, nil
	}
	_, raw, err := s.o.Bus.NextControl(ctx, from)
	if errors.Is(err, bus.ErrNotFound) {
		return mark{}, nil
	}
	return markOf(raw), err
}

// forget has all of the bus read again, as one of which nothing is known. What versions
// were seen is remembered.
func (s *Store) forget() {
	s.next, s.marks = 1, marks{}
	for _, file := range s.files {
		file.seq, file.behind, file.list = 0, false, nil
	}
	s.pieces.clear()
}
