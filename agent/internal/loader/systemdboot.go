package loader

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kedge/internal/command"
	"kedge/internal/nix"
	"kedge/proto"
)

const (
	// stopDelay is how long bootctl may take to end after SIGTERM.
	stopDelay = time.Second
	// saidLimit is how many of the last bytes that bootctl said are told.
	saidLimit = 1 << 10
)

// A systemdBoot is systemd-boot, with what NixOS or lanzaboote install.
type systemdBoot struct {
	variables variables
	bootctl   string
	profile   string // of whose generations there are entries
}

func (l Loader) systemdBoot(v variables) systemdBoot {
	return systemdBoot{variables: v, bootctl: cmp.Or(l.Bootctl, "bootctl"), profile: filepath.Join(l.Root, systemLink)}
}

// findSystemdBoot returns the systemd-boot that calls itself name.
func (l Loader) findSystemdBoot(ctx context.Context, name string, v variables) (once, Support) {
	b := l.systemdBoot(v)
	none := func(why error) (once, Support) {
		return nil, Support{Loader: name, Protection: None, Reason: why.Error()}
	}
	if _, err := b.list(ctx); err != nil {
		return none(err)
	}
	features, err := v.features()
	if err != nil {
		return none(err)
	}
	if features&featureOneShot == 0 {
		err = fmt.Errorf("%s does not boot an entry once", name)
	} else {
		err = l.variablesWritable()
	}
	if err != nil {
		return none(err)
	}
	return b, Support{Loader: name, Protection: OneShot, Asked: true}
}

// arm implements once.
func (b systemdBoot) arm(ctx context.Context, toplevel proto.StorePath) error {
	// What is booted once hides what the default is.
	if err := b.disarm(ctx); err != nil {
		return err
	}
	entries, err := b.list(ctx)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e bootEntry) bool { return !boots(e.Options, toplevel) })
	if len(entries) == 0 {
		return ErrNoEntry
	}
	if slices.ContainsFunc(entries, func(e bootEntry) bool { return e.IsDefault }) {
		return ErrDefault
	}
	id := entries[0].ID
	if err := b.set(ctx, id); err != nil {
		return err
	}
	switch got, err := b.armed(); {
	case err != nil:
		return err
	case got != id:
		return fmt.Errorf("the firmware did not keep it: %s is %q after it was set to %q", oneShotEntry, got, id)
	}
	return nil
}

// others implements once.
func (b systemdBoot) others(ctx context.Context, toplevel proto.StorePath) (ids []string, err error) {
	entries, err := b.list(ctx)
	if err != nil {
		return nil, err
	}
	here := false
	for _, e := range entries {
		if boots(e.Options, toplevel) {
			if here = true; e.IsDefault {
				return nil, nil
			}
		} else if e.IsDefault {
			ids = append(ids, e.ID)
		}
	}
	if !here {
		return nil, b.missing(entries, toplevel)
	}
	return ids, nil
}

// missing says that toplevel has no entry because newer generations have them all: what
// the installer writes it writes of the newest ones. It returns nil if that is not known:
// entries without the newest one's may not be what was written, or do not tell what they
// boot. Which one is the default says nothing: bootctl also lists what was there when the
// host was booted, and takes it for the default.
func (b systemdBoot) missing(entries []bootEntry, toplevel proto.StorePath) error {
	all, err := nix.Generations(b.profile)
	if err != nil || len(all) == 0 {
		return nil //nolint:nilerr // it may be the newest one itself
	}
	newest := all[len(all)-1]
	if newest.Path == toplevel || !slices.ContainsFunc(entries, func(e bootEntry) bool { return boots(e.Options, newest.Path) }) {
		return nil
	}
	return fmt.Errorf("%w, but one of generation %s", ErrNoEntry, newest.Number)
}

// disarm implements once.
func (b systemdBoot) disarm(ctx context.Context) error { return b.set(ctx, "") }

// armed implements once.
func (b systemdBoot) armed() (string, error) { return b.variables.text(oneShotEntry) }

func (b systemdBoot) set(ctx context.Context, id string) error {
	_, err := b.run(ctx, "set-oneshot", id)
	return err
}

// A bootEntry is what bootctl says about one.
type bootEntry struct {
	ID      string `json:"id"` // without its counters, as the loader wants it
	Options string `json:"options"`
	// IsDefault: it is what would be booted now. bootctl before 254 never says so;
	// the NixOS of that time names the default, and no pattern that may fit another.
	IsDefault bool `json:"isDefault"`
}

// list returns all entries.
func (b systemdBoot) list(ctx context.Context) ([]bootEntry, error) {
	out, err := b.run(ctx, "list", "--json=short")
	if err != nil {
		return nil, err
	}
	entries, err := decodeEntries(out)
	if err != nil {
		return nil, fmt.Errorf("%s list: %w", b.bootctl, err)
	}
	return entries, nil
}

// decodeEntries decodes a list or, as older ones print them, one entry after the
// other.
func decodeEntries(out []byte) (entries []bootEntry, err error) {
	if bytes.HasPrefix(bytes.TrimSpace(out), []byte("[")) {
		err = json.Unmarshal(out, &entries)
		return entries, err
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var e bootEntry
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return entries, nil
		case err != nil:
			return nil, err
		}
		entries = append(entries, e)
	}
}

// run returns what bootctl printed.
func (b systemdBoot) run(ctx context.Context, args ...string) ([]byte, error) {
	var out bytes.Buffer
	said := command.Tail{Limit: saidLimit}
	cmd := command.New(ctx, stopDelay, append([]string{b.bootctl}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := command.RunSpared(ctx, cmd); err != nil {
		_, err = command.Ended(ctx, cmd, err)
		if text := strings.TrimSpace(said.String()); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return nil, fmt.Errorf("%s %s: %w", b.bootctl, args[0], err)
	}
	return out.Bytes(), nil
}
