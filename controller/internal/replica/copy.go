package replica

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// ErrTooLarge says that a file is larger than what is shared.
var ErrTooLarge = errors.New("too large to be shared")

// Copy puts the file at path, which was written or removed, on the bus. When it returns
// nil every controller that leads later has it. After any error but [ErrTooLarge] this
// one must not lead on.
func (s *Store) Copy(path string) error {
	name, err := filepath.Rel(s.o.Dir, path)
	if err != nil || !s.isShared(filepath.ToSlash(name)) {
		return fmt.Errorf("share %s: it is no part of the shared state", path)
	}
	return s.copy(filepath.ToSlash(name))
}

func (s *Store) copy(name string) error {
	file := s.named(name)
	file.mu.Lock()
	defer file.mu.Unlock()
	c := content{version: file.version + 1}
	data, err := os.ReadFile(s.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.gone = true
	case err != nil:
		return s.fail(fmt.Errorf("share %s: %w", name, err))
	default:
		c.data = data
	}
	if len(c.data) > maxFile {
		return fmt.Errorf("share %s: %w: it has %d bytes, and at most %d are shared", name, ErrTooLarge, len(c.data), maxFile)
	}
	if err := s.putSealed(name, file, c.version, s.sealer.seal(name, c)); err != nil {
		return s.fail(fmt.Errorf("share %s: %w", name, err))
	}
	return nil
}

// putSealed puts a version of a file on the bus, in pieces if it does not fit into one
// key. The caller holds file.mu.
func (s *Store) putSealed(name string, file *shared, version uint64, sealed []byte) error {
	whole, list := sealed, (*pieceList)(nil)
	if len(sealed) > maxSealed {
		l := listOf(sealed, file.other())
		if err := s.putPieces(name, l, sealed); err != nil {
			return err
		}
		whole, list = l.encode(), &l
	}
	seq, err := s.put(proto.StatePrefix+name, whole, file.seq)
	if err != nil {
		return err
	}
	s.saw(file, seq, version)
	file.list = list
	if list == nil {
		return s.emptyPieces(name)
	}
	return nil
}

// put puts data in the place of the version last, and tries until that is done or there
// is not enough left of the lease.
func (s *Store) put(key string, data []byte, last uint64) (uint64, error) {
	for {
		if err := s.check(attempt); err != nil {
			return 0, err
		}
		seq, err := s.try(key, data, last)
		if err == nil || !bus.Transient(err) {
			return seq, err
		}
		<-time.After(retry)
	}
}

// try puts data once. What an attempt before did put, and nobody heard of, is ours.
func (s *Store) try(key string, data []byte, last uint64) (uint64, error) {
	ctx, cancel := s.bounded()
	defer cancel()
	seq, err := s.o.Bus.PutControl(ctx, key, data, last)
	if !errors.Is(err, bus.ErrConflict) {
		return seq, err
	}
	raw, got := s.o.Bus.GetControl(ctx, key)
	if got != nil {
		return 0, got
	}
	if !bytes.Equal(raw.Data, data) {
		return 0, err
	}
	return raw.Seq, nil
}
