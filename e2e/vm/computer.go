// Package vm runs a machine of a fleet as a computer: on QEMU, with UEFI firmware, an EFI system partition with the real
// systemd-boot or GRUB, and Debian's kernel. It is what a container cannot be: something whose boots fail.
//
// The disk is made of the disk of a machine that is off ([hosts.Machine]), where everything was installed before. A boot that
// panics resets the computer (panic= on the kernel's command line), one that hangs is reset by a watchdog on the bus, which
// the initrd arms and the system's systemd takes over. Both go on with the next boot, as any reset.
package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"kedge/e2e/hosts"
	"kedge/e2e/internal/command"
	"kedge/e2e/rootfs"
	"kedge/e2e/vm/guest"
)

// Prepare is [hosts.Prepare] for computers: the root file system is for the machine whose disk the computer gets.
func Prepare(ctx context.Context, log func(string)) (dir string, err error) {
	if _, err := hosts.Prepare(ctx, log); err != nil {
		return "", err
	}
	if err := rootfs.EnsureVMTools(ctx, log); err != nil {
		return "", err
	}
	return rootfs.EnsureBootable(ctx, log)
}

// Options say what computer to make.
type Options struct {
	// Network is where the computer is: on the WAN, behind a NAT of its own. Required.
	Network *hosts.Network
	// Machine is one of it, whose Rootfs is what Prepare returned. Required. It is never switched on; the computer has its
	// name and its directory.
	Machine *hosts.Machine
	Log     *slog.Logger // required
}

// A Computer is a machine in hardware. It is off until PowerOn. Its methods may be called concurrently, but for PowerOn and
// PowerCut.
type Computer struct {
	options Options
	dir     string

	cut   context.CancelFunc // pulls the plug; nil while it is off
	ended chan struct{}      // closed when QEMU has ended

	mu      sync.Mutex                 // guards what follows
	changed chan struct{}              // closed and replaced whenever boots or broken changes
	boots   []string                   // ids of the boots that have said a word, oldest first
	broken  error                      // why it does not run; nil while it does
	line    net.Conn                   // to the program in it
	asked   map[int]chan<- guest.Reply // who waits for an answer of the current boot, by ID
	lastID  int                        // of what was asked last
}

// ErrOff says that a computer is off where it must be on.
var ErrOff = errors.New("the computer is off")

// ErrRebooted says that a computer was reset or booted before it answered.
var ErrRebooted = errors.New("it has booted anew meanwhile")

// New makes a computer of a machine: its disk is copied, /boot/efi, or /boot if that is not there, becoming the EFI system
// partition. The computer goes with the machine.
func New(ctx context.Context, o Options) (*Computer, error) {
	c := &Computer{options: o, dir: filepath.Join(o.Machine.Dir(), "computer"), changed: make(chan struct{}), broken: ErrOff}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make computer %s: %w", c.Name(), err)
	}
	for _, step := range []func(context.Context) error{c.installGuest, c.makeDisk, c.makeVariables} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("make computer %s: %w", c.Name(), err)
		}
	}
	return c, nil
}

// Name returns the computer's name.
func (c *Computer) Name() string { return c.options.Machine.Name() }

// Console returns the path of the log of the computer's console, over all its boots.
func (c *Computer) Console() string { return filepath.Join(c.dir, "console.log") }

// PowerOn switches the computer on. It does not wait for anything of the boot.
func (c *Computer) PowerOn(ctx context.Context) error {
	socket := filepath.Join(c.dir, "line")
	if err := os.RemoveAll(socket); err != nil {
		return fmt.Errorf("power on %s: %w", c.Name(), err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("power on %s: %w", c.Name(), err)
	}
	on, cut := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the call that switches it on
	c.cut, c.ended = cut, make(chan struct{})
	c.change(func() { c.broken = nil })
	go c.listen(listener)
	go func() {
		defer close(c.ended)
		_, err := c.options.Network.Run(on, c.qemu()...)
		if on.Err() == nil {
			c.options.Log.ErrorContext(on, "a computer stopped", "computer", c.Name(), "err", err)
		}
		_ = listener.Close() // nobody came
		c.change(func() {
			c.broken = ErrOff
			if on.Err() == nil {
				c.broken = fmt.Errorf("%w: QEMU ended by itself: %w", ErrOff, err)
			}
			c.forget()
		})
	}()
	return nil
}

// PowerCut pulls the plug. What is on the disk stays, as do the firmware's variables. It may be called again.
func (c *Computer) PowerCut() {
	if c.cut == nil {
		return
	}
	c.cut()
	<-c.ended
	c.cut = nil
}

// Boots returns how many boots have come so far as to say so: to the start of systemd's first units.
func (c *Computer) Boots() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.boots)
}

// AwaitBoots waits until there were at least n boots, as Boots counts them, and the last one's systemd has started everything.
func (c *Computer) AwaitBoots(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		boots, broken, changed := len(c.boots), c.broken, c.changed
		c.mu.Unlock()
		if broken != nil {
			return fmt.Errorf("wait for boot %d of %s: %w", n, c.Name(), broken)
		}
		if boots >= n {
			// Degraded is started, too.
			_, err := c.Run(ctx, "systemctl", "is-system-running", "--wait")
			if _, degraded := errors.AsType[*command.Error](err); err == nil || degraded {
				return nil
			}
			if !errors.Is(err, ErrRebooted) {
				return err
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for boot %d of %s: %w; there were %d; its console said last:\n%s", n, c.Name(), context.Cause(ctx), boots, c.lastWords())
		}
	}
}

// Run runs a program in the computer, as root in / with no input, and returns its standard output. It fails with [ErrOff] if
// the computer is off or has not booted yet, with [ErrRebooted] if it does not live long enough to answer, and with a
// *command.Error if the program fails. When ctx ends, the program goes on.
func (c *Computer) Run(ctx context.Context, argv ...string) (stdout string, err error) {
	answer, err := c.ask(argv)
	if err != nil {
		return "", fmt.Errorf("run %s on %s: %w", strings.Join(argv, " "), c.Name(), err)
	}
	select {
	case r, ok := <-answer:
		if !ok {
			return "", fmt.Errorf("run %s on %s: %w", strings.Join(argv, " "), c.Name(), ErrRebooted)
		}
		if r.Error != "" {
			failed := &command.Error{Args: argv, Code: r.Code, Stderr: string(r.Stderr), Err: errors.New(r.Error)}
			return string(r.Stdout), fmt.Errorf("on %s: %w", c.Name(), failed)
		}
		return string(r.Stdout), nil
	case <-ctx.Done():
		return "", fmt.Errorf("run %s on %s: %w", strings.Join(argv, " "), c.Name(), context.Cause(ctx))
	}
}

// ask sends a request to the current boot. The answer comes, or the channel is closed when the boot is over.
func (c *Computer) ask(argv []string) (<-chan guest.Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return nil, c.broken
	}
	if c.line == nil {
		return nil, fmt.Errorf("%w: it has not booted yet", ErrOff)
	}
	c.lastID++
	text, err := json.Marshal(guest.Request{Boot: c.boots[len(c.boots)-1], ID: c.lastID, Args: argv})
	if err != nil {
		return nil, err
	}
	if _, err := c.line.Write(append(text, '\n')); err != nil {
		return nil, err
	}
	answer := make(chan guest.Reply, 1)
	c.asked[c.lastID] = answer
	return answer, nil
}

// change applies f with c.mu held and wakes who waits for a change.
func (c *Computer) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}
