package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kedge/controller/internal/rollout"
	"kedge/internal/durable"
)

// rolloutStore keeps the rollout of each channel in a file, and nowhere else: nobody signs it, so
// a copy that came from NATS could not be believed. Whoever could write there
// would choose what the controller signs next.
type rolloutStore struct{ dir string }

var _ rolloutSaver = rolloutStore{}

// Save implements [rolloutSaver].
func (s rolloutStore) Save(channel string, r rollout.Rollout) error {
	data, err := r.Encode()
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Join(s.dir, channel), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(s.path(channel), data, 0o600)
}

// Load returns the rollout of a channel to go on with. There is none before the
// first.
func (s rolloutStore) Load(channel string) (r rollout.Rollout, found bool, err error) {
	data, err := os.ReadFile(s.path(channel))
	if errors.Is(err, fs.ErrNotExist) {
		return rollout.Rollout{}, false, nil
	}
	if err != nil {
		return rollout.Rollout{}, false, fmt.Errorf("load the rollout: %w", err)
	}
	r, err = rollout.Parse(data)
	if err != nil {
		return rollout.Rollout{}, false, fmt.Errorf("load the rollout from %s: %w; move the file away to begin with the newest revision", s.path(channel), err)
	}
	return r, true, nil
}

func (s rolloutStore) path(channel string) string {
	return filepath.Join(s.dir, channel, "current.json")
}
