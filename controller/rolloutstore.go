package controller

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"kedge/controller/internal/rollout"
	"kedge/internal/durable"
	"kedge/proto/bus"
)

// rolloutKey is where another controller finds the rollout.
const rolloutKey = "rollout"

// controlBucket holds what controllers share; see [bus.Fleet].
type controlBucket interface {
	GetControl(ctx context.Context, key string) (bus.Raw, error)
	PutControl(ctx context.Context, key string, data []byte, last uint64) (uint64, error)
}

// rolloutStore keeps the rollout in a file, with a copy on NATS.
type rolloutStore struct {
	path   string
	bucket controlBucket

	mu    sync.Mutex // guards saved
	saved []byte     // newer than the copy; nil if there is no such thing

	copying sync.Mutex // guards seq; held for a whole copy
	seq     uint64     // of the copy, as far as known
}

var _ rolloutSaver = (*rolloutStore)(nil)

// Save implements [rolloutSaver]. It does not wait for a copy.
func (s *rolloutStore) Save(r rollout.Rollout) error {
	data, err := r.Encode()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(s.path, data, 0o600); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = data
	return nil
}

// Copy implements [rolloutSaver].
func (s *rolloutStore) Copy(ctx context.Context) error {
	s.copying.Lock()
	defer s.copying.Unlock()
	data := s.take()
	if data == nil {
		return nil
	}
	if err := s.put(ctx, data); err != nil {
		s.giveBack(data)
		return fmt.Errorf("copy the rollout to NATS: %w", err)
	}
	return nil
}

// take returns what is to be copied, once.
func (s *rolloutStore) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := s.saved
	s.saved = nil
	return data
}

// giveBack undoes take, unless there is something newer.
func (s *rolloutStore) giveBack(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saved == nil {
		s.saved = data
	}
}

// put puts data on NATS. The caller holds s.copying.
func (s *rolloutStore) put(ctx context.Context, data []byte) error {
	seq, err := s.bucket.PutControl(ctx, rolloutKey, data, s.seq)
	if errors.Is(err, bus.ErrConflict) { // another writer, or another stream since
		raw, getErr := s.bucket.GetControl(ctx, rolloutKey)
		if getErr != nil && !errors.Is(getErr, bus.ErrNotFound) {
			return getErr
		}
		seq, err = s.bucket.PutControl(ctx, rolloutKey, data, raw.Seq)
	}
	if err == nil {
		s.seq = seq
	}
	return err
}

// Load returns the rollout to go on with: that of the file, or else the copy's.
// There is none before the first.
func (s *rolloutStore) Load(ctx context.Context) (r rollout.Rollout, found bool, err error) {
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err := s.bucket.GetControl(ctx, rolloutKey)
		if errors.Is(err, bus.ErrNotFound) {
			return rollout.Rollout{}, false, nil
		}
		if err != nil {
			return rollout.Rollout{}, false, fmt.Errorf("load the rollout: %w", err)
		}
		data = raw.Data
	} else if err != nil {
		return rollout.Rollout{}, false, fmt.Errorf("load the rollout: %w", err)
	}
	r, err = rollout.Parse(data)
	if err != nil {
		return rollout.Rollout{}, false, fmt.Errorf("load the rollout from %s: %w; move the file away to begin with the next revision", s.path, err)
	}
	return r, true, nil
}
