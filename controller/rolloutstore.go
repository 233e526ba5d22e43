package controller

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

	"kedge/controller/internal/rollout"
	"kedge/internal/durable"
	"kedge/proto"
)

// currentRollout is the name of the file of a channel's current rollout. No ID is
// like it.
const currentRollout = "current"

// keptRollouts is how many rollouts of a channel are remembered after another one
// took their place.
const keptRollouts = 20

// rolloutStore keeps rollouts in files. Nobody signs them, so a copy in NATS that is not
// sealed could not be believed: whoever could write there would choose what the
// controller signs next.
//
// There is a folder for each channel, with the current rollout in current.json, and
// those before it in a file each, under their IDs. A file of one of these that cannot be
// read is set aside, and reported: nothing depends on it.
type rolloutStore struct {
	dir    string
	shared func(path string) error // required; see [Controller.shared]
	log    *slog.Logger            // required
}

var _ rolloutSaver = rolloutStore{}

// Save implements [rolloutSaver].
func (s rolloutStore) Save(r rollout.Rollout) error { return s.write(r, currentRollout) }

// Retire implements [rolloutSaver]. What comes back after a loss of power is forgotten
// the next time.
func (s rolloutStore) Retire(r rollout.Rollout, forgotten ...rollout.Rollout) error {
	if err := s.write(r, r.ID); err != nil {
		return err
	}
	for _, old := range forgotten {
		path := s.path(old.Channel, old.ID)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget rollout %s: %w", old.ID, err)
		}
		if err := s.shared(path); err != nil {
			return fmt.Errorf("forget rollout %s: %w", old.ID, err)
		}
	}
	return nil
}

func (s rolloutStore) write(r rollout.Rollout, name string) error {
	data, err := r.Encode()
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Join(s.dir, r.Channel), 0o700); err != nil {
		return fmt.Errorf("save rollout %s: %w", r.ID, err)
	}
	if err := durable.WriteFile(s.path(r.Channel, name), data, 0o600); err != nil {
		return err
	}
	return s.shared(s.path(r.Channel, name))
}

// Load returns the rollout of a channel to go on with, if there is one, and those
// before it, the newest first.
func (s rolloutStore) Load(channel string) (current rollout.Rollout, found bool, past []rollout.Rollout, err error) {
	current, err = s.read(channel, currentRollout)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return current, false, nil, fmt.Errorf("load the current rollout of channel %s: %w; %s", channel, err, currentAdvice(err))
	}
	found = err == nil
	past, err = s.past(channel)
	past = slices.DeleteFunc(past, func(r rollout.Rollout) bool { return found && r.ID == current.ID })
	return current, found, past, err
}

// past returns the rollouts of a channel that are not current any more, the newest
// first.
func (s rolloutStore) past(channel string) (past []rollout.Rollout, err error) {
	files, err := os.ReadDir(filepath.Join(s.dir, channel))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the rollouts of channel %s: %w", channel, err)
	}
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok || id == currentRollout || strings.HasPrefix(id, ".") {
			continue // a temporary file of a write that never ended
		}
		r, err := s.read(channel, id)
		if err != nil {
			s.setAside(s.path(channel, id), err)
			continue
		}
		past = append(past, r)
	}
	slices.SortFunc(past, func(a, b rollout.Rollout) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(b.ID, a.ID))
	})
	return past, nil
}

// unreadable ends the name of a file that was set aside.
const unreadable = ".unreadable"

// setAside renames the file of a past rollout that cannot be read because of why. One
// that cannot be renamed either is in nobody's way.
func (s rolloutStore) setAside(path string, why error) {
	err := durable.Rename(path, path+unreadable)
	if err == nil {
		err = s.shared(path)
	}
	s.log.Error("past rollout cannot be read, and is set aside: it is not listed, and nobody can go back to it",
		"file", path+unreadable, "err", errors.Join(why, err))
}

// currentAdvice says what to do about a current rollout that cannot be read because of
// err.
func currentAdvice(err error) string {
	if errors.Is(err, proto.ErrUnknownFormat) {
		return "use the version that wrote it"
	}
	return "put it back from a backup, or move it away: the channel then begins with the first wave of its newest revision, " +
		"also if that was paused, halted, aborted or taken back; what hosts have stays until their turn comes"
}

func (s rolloutStore) read(channel, name string) (rollout.Rollout, error) {
	path := s.path(channel, name)
	data, err := os.ReadFile(path)
	if err != nil {
		return rollout.Rollout{}, err // names operation and path already
	}
	r, err := rollout.Parse(data)
	if err != nil {
		return rollout.Rollout{}, fmt.Errorf("%s: %w", path, err)
	}
	if r.Channel != channel {
		return rollout.Rollout{}, fmt.Errorf("%s: it is of channel %q", path, r.Channel)
	}
	return r, nil
}

func (s rolloutStore) path(channel, name string) string {
	return filepath.Join(s.dir, channel, name+".json")
}
