package stc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names of the resume lists, and of those that an activation script may leave (deprecated).
const (
	startList             = "start-list"
	restartList           = "restart-list"
	reloadList            = "reload-list"
	activationRestartList = "activation-restart-list"
	activationReloadList  = "activation-reload-list"
	dryRestartList        = "dry-activation-restart-list"
	dryReloadList         = "dry-activation-reload-list"
)

// lists are the files by which an interrupted run is continued by the next one, whichever system
// that is for: what is to be started, restarted, reloaded is appended while planning and forgotten
// after it was done.
type lists struct {
	dir string // /run/nixos
	dry bool   // nothing is recorded
}

// record appends unit to the list. It does not say whether it could: the real one does not either.
func (l lists) record(list, unit string) {
	if l.dry {
		return
	}
	f, err := os.OpenFile(filepath.Join(l.dir, list), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintln(f, unit) // best effort, as above
	_ = f.Close()                // best effort, as above
}

// unrecord takes unit off the list again, under the same condition.
func (l lists) unrecord(list, unit string) {
	if l.dry {
		return
	}
	kept := l.read(list)
	if !kept.has(unit) {
		return
	}
	delete(kept, unit)
	text := strings.Join(append(kept.sorted(), ""), "\n")
	_ = os.WriteFile(filepath.Join(l.dir, list), []byte(text), 0o644) // best effort, as above
}

// read returns the units on the list; an unreadable list is an empty one.
func (l lists) read(list string) set {
	units := set{}
	text, err := os.ReadFile(filepath.Join(l.dir, list))
	if err != nil {
		return units
	}
	for line := range strings.Lines(string(text)) {
		if name := strings.TrimSuffix(line, "\n"); name != "" {
			units.add(name)
		}
	}
	return units
}

func (l lists) exists(list string) bool {
	_, err := os.Stat(filepath.Join(l.dir, list))
	return err == nil
}

// remove forgets the list; there may be none.
func (l lists) remove(list string) error {
	if err := os.Remove(filepath.Join(l.dir, list)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", list, err)
	}
	return nil
}
