package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/internal/durable"
	"kedge/proto"
	"kedge/proto/bus"
)

// ErrOwnState says that a controller has state that it never shared, beside that of
// others.
var ErrOwnState = errors.New("this controller has state of its own that was never shared, and NATS has that of another")

// putAtOnce is how many files are put on the bus at the same time.
const putAtOnce = 16

// Follow brings the disk to what is on the bus, as far as that is newer. It reads what is
// new since the last time, or everything if that was on another stream.
func (s *Store) Follow(ctx context.Context) error {
	same, err := s.isSame(ctx)
	if err != nil {
		return fmt.Errorf("read the shared state: %w", err)
	}
	if !same {
		s.forget()
	}
	latest := map[string]bus.Raw{}
	for next, read := s.next, s.marks; ; {
		key, raw, err := s.o.Bus.NextControl(ctx, next)
		if errors.Is(err, bus.ErrNotFound) {
			s.next, s.marks = next, read
			break
		}
		if err != nil { // what was read is not taken, and read again
			return fmt.Errorf("read the shared state: %w", err)
		}
		if read.last = markOf(raw); key == proto.KeyLeader {
			read.lease = read.last
		}
		if name, ours := strings.CutPrefix(key, proto.StatePrefix); ours {
			latest[name] = raw
		}
		if strings.HasPrefix(key, proto.PiecePrefix) {
			s.pieces.put(key, raw)
		}
		next = raw.Seq + 1
	}
	if err := s.takeAll(latest); err != nil {
		s.next = 1 // all of it once more
		return err
	}
	return s.SaveFloors()
}

func (s *Store) takeAll(latest map[string]bus.Raw) error {
	if len(latest) == 0 {
		return nil
	}
	if s.fresh {
		if own, err := s.local(); err != nil {
			return err
		} else if len(own) > 0 {
			return fmt.Errorf("%w: to go on with that, move away %s and what else there is below %s; to go on with this controller's, start it before the others",
				ErrOwnState, own[0], s.o.Dir)
		}
	}
	var problems []error
	for name, raw := range latest {
		problems = append(problems, s.take(name, raw))
	}
	return errors.Join(problems...)
}

// take writes what the bus has of a file to the disk, unless it is older than what was
// there before.
func (s *Store) take(name string, raw bus.Raw) error {
	if !s.isShared(name) {
		return fmt.Errorf("state %q: this version does not know it: use the version of the controller that leads", name)
	}
	sealed, list, err := s.whole(name, raw.Data)
	if err != nil {
		return err
	}
	c, err := s.sealer.unseal(name, sealed)
	if err != nil {
		return err
	}
	file := s.named(name)
	if c.version >= file.version {
		if err := s.write(name, c); err != nil {
			return fmt.Errorf("state %s: %w", name, err)
		}
	}
	s.saw(file, raw.Seq, c.version)
	file.list = list
	s.pieces.forget(name, list)
	return nil
}

func (s *Store) write(name string, c content) error {
	path := s.path(name)
	if c.gone {
		return durable.Remove(path)
	}
	if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, c.data) {
		return nil
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, c.data, 0o600)
}

// Lead takes over what the bus has, at least up to the sequence number at, and puts
// there what it lacks, but for files that do not fit. From then on the state is this controller's to change: while
// check, which is told how long something may take, says that it leads.
func (s *Store) Lead(ctx context.Context, at uint64, check func(takes time.Duration) error) error {
	s.check = check
	s.bounded = func() (context.Context, context.CancelFunc) { // what is being saved when ctx ends is carried through
		return context.WithTimeoutCause(context.WithoutCancel(ctx), attempt, bus.ErrTimeout)
	}
	if err := s.Follow(ctx); err != nil {
		return err
	}
	if s.next <= at {
		return fmt.Errorf("read the shared state: NATS answers with what it had at %d, and has %d", s.next-1, at)
	}
	names, err := s.local()
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(putAtOnce)
	for _, name := range names {
		file := s.named(name)
		if file.seq > 0 && !file.behind {
			continue
		}
		g.Go(func() error {
			err := s.copy(name)
			if errors.Is(err, ErrTooLarge) { // nor was it when it was written, by whoever was told so
				s.o.Log.ErrorContext(ctx, "a file of the shared state is not shared", "err", err)
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return s.SaveFloors()
}

// local returns the names of all shared files on the disk, sorted.
func (s *Store) local() (names []string, err error) {
	for _, part := range s.o.Parts {
		err := filepath.WalkDir(s.path(part), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			name, err := filepath.Rel(s.o.Dir, path)
			if err == nil && s.isShared(filepath.ToSlash(name)) {
				names = append(names, filepath.ToSlash(name))
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look for the shared state: %w", err)
		}
	}
	slices.Sort(names)
	return names, nil
}

// isShared reports whether a file is one that is shared: not what a write left that
// never ended.
func (s *Store) isShared(name string) bool {
	if !filepath.IsLocal(name) || filepath.ToSlash(filepath.Clean(name)) != name || strings.HasPrefix(filepath.Base(name), ".") {
		return false
	}
	return slices.ContainsFunc(s.o.Parts, func(part string) bool { return name == part || strings.HasPrefix(name, part+"/") })
}

func (s *Store) path(name string) string { return filepath.Join(s.o.Dir, filepath.FromSlash(name)) }
