package loader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"kedge/proto"
)

// A Protection is what a loader does about a system that does not come up.
type Protection string

// Protections, the best one first.
const (
	// OneShot: the loader boots an entry once, and its default after that,
	// whatever became of it.
	OneShot Protection = "one-shot"
	// None: the loader boots its default, again and again.
	None Protection = "none"
)

var (
	// ErrUnprotected is wrapped by the error of [Loader.Arm] if the loader cannot
	// boot an entry once.
	ErrUnprotected = errors.New("the boot loader cannot boot an entry once")
	// ErrNoEntry is wrapped by the error of [Loader.Arm] if the loader has no entry
	// of the system: it is no generation of the profile, or too old a one; and by that of
	// [Loader.CheckDefault] if it is known to be too old a one.
	ErrNoEntry = errors.New("the boot loader has no entry of it")
	// ErrNotDefault is wrapped by the error of [Loader.CheckDefault] if the loader has
	// an entry of the system.
	ErrNotDefault = errors.New("the boot loader boots something else by default")
	// ErrDefault is wrapped by the error of [Loader.Arm] if the loader would boot
	// the system anyway, and not once.
	ErrDefault = errors.New("it is the boot loader's default already: it would be booted again and again")
)

// A Support is what a host's loader can do.
type Support struct {
	// Loader is what the loader calls itself; empty if nobody knows it.
	Loader     string
	Protection Protection
	// Reason says why it is no [OneShot], for people; else empty.
	Reason string
	// Asked says that it takes a program to find out that it is [OneShot].
	Asked bool
}

// A Loader is the boot loader of this host. The zero value is ready. It keeps
// nothing, and is safe for concurrent use.
type Loader struct {
	// Root is the directory that everything is looked for in; empty is /.
	Root string
	// Bootctl is systemd's program; empty is the one on PATH.
	Bootctl string

	volume func(path string) (volume, error) // defaults to volumeOf
}

// A once is a loader that boots an entry once.
type once interface {
	// others returns the names of the entries that are booted by default, if it is known
	// that none of them is toplevel's, and that one of the other entries is. The error
	// wraps [ErrNoEntry] if none is, although newer systems have theirs.
	others(ctx context.Context, toplevel proto.StorePath) ([]string, error)
	arm(ctx context.Context, toplevel proto.StorePath) error
	disarm(ctx context.Context) error
	armed() (string, error)
}

// Detect returns what the loader can do. What cannot be read protects nobody.
func (l Loader) Detect(ctx context.Context) Support {
	_, s := l.find(ctx)
	return s
}

// Arm makes the loader boot toplevel at the next boot, and its default at every
// one after that. toplevel must be a generation of the system profile, and not
// the default. It is durable when Arm returns nil, and may be repeated. After an
// error it may be armed or not.
func (l Loader) Arm(ctx context.Context, toplevel proto.StorePath) error {
	o, s := l.find(ctx)
	if o == nil {
		return fmt.Errorf("boot %s once: %w: %s", toplevel, ErrUnprotected, s.Reason)
	}
	if err := o.arm(ctx, toplevel); err != nil {
		return fmt.Errorf("boot %s once: %w", toplevel, err)
	}
	return nil
}

// CheckDefault fails if it is known that the loader boots something else than toplevel
// when nobody tells it what to boot: it has an entry of it that is not the default, or
// entries of newer generations only. While something is armed, and where the entries
// cannot be read, it is not known.
func (l Loader) CheckDefault(ctx context.Context, toplevel proto.StorePath) error {
	o, err := l.remembers()
	if err != nil || o == nil {
		return nil //nolint:nilerr // whose name cannot be read may boot anything
	}
	if armed, err := o.armed(); err != nil || armed != "" {
		return nil //nolint:nilerr // what is armed hides what the default is
	}
	others, err := o.others(ctx, toplevel)
	if errors.Is(err, ErrNoEntry) {
		return fmt.Errorf("boot %s by default: %w", toplevel, err)
	}
	if err != nil {
		return nil //nolint:nilerr // what has no list of entries may have this one
	}
	if len(others) > 0 {
		return fmt.Errorf("boot %s by default: %w: %s", toplevel, ErrNotDefault, strings.Join(others, ", "))
	}
	return nil
}

// Disarm makes the loader boot its default at the next boot, too. It is durable
// when Disarm returns nil, and may be repeated. It also takes back what could not be
// armed any more.
func (l Loader) Disarm(ctx context.Context) error {
	o, err := l.remembers()
	if err != nil || o == nil {
		return nil //nolint:nilerr // whose name cannot be read was not armed either
	}
	entry, err := o.armed()
	if errors.Is(err, fs.ErrNotExist) || err == nil && entry == "" {
		return nil
	}
	if err != nil { // it may be armed all the same
		return fmt.Errorf("boot the default: which entry is booted once: %w", err)
	}
	if err := o.disarm(ctx); err != nil {
		return fmt.Errorf("boot the default: %w", err)
	}
	return nil
}

// Armed returns the loader's name of the entry that it will boot once; empty if
// there is none.
func (l Loader) Armed(ctx context.Context) (string, error) {
	o, _ := l.find(ctx)
	if o == nil {
		return "", nil
	}
	entry, err := o.armed()
	if err != nil {
		return "", fmt.Errorf("read which entry is booted once: %w", err)
	}
	return entry, nil
}

// Counted reports whether the loader counts this boot as failed until somebody says
// that it was good.
func (l Loader) Counted() (bool, error) {
	entry, err := variables{dir: filepath.Join(l.Root, variablesDir)}.text(countPath)
	return entry != "", err
}

// find returns the host's loader, nil if it cannot boot an entry once, and what
// it can do.
func (l Loader) find(ctx context.Context) (once, Support) {
	v := variables{dir: filepath.Join(l.Root, variablesDir)}
	name, err := v.text(loaderInfo)
	switch {
	case err != nil:
		return nil, Support{Protection: None, Reason: err.Error()}
	case strings.HasPrefix(name, "systemd-boot"):
		return l.findSystemdBoot(ctx, name, v)
	case name == "" || strings.HasPrefix(name, "GRUB"):
		return l.findGRUB(name)
	}
	return nil, Support{Loader: name, Protection: None, Reason: name + " boots its default only"}
}

// remembers returns where the host's loader would remember an entry to boot once,
// whether it can be told one or not; nil if it is none of ours.
func (l Loader) remembers() (once, error) {
	v := variables{dir: filepath.Join(l.Root, variablesDir)}
	name, err := v.text(loaderInfo)
	switch {
	case err != nil:
		return nil, err
	case strings.HasPrefix(name, "systemd-boot"):
		return l.systemdBoot(v), nil
	case name == "" || strings.HasPrefix(name, "GRUB"):
		return grub{dir: filepath.Join(l.Root, grubDir)}, nil
	}
	return nil, nil //nolint:nilnil // it remembers nothing
}

// boots reports whether options, a kernel's command line, boot toplevel.
func boots(options string, toplevel proto.StorePath) bool {
	for option := range strings.FieldsSeq(options) {
		if option == "init="+toplevel.String()+"/init" {
			return true
		}
	}
	return false
}
