package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"kedge/e2e/internal/command"
)

// netnsDir is where ip-netns keeps named network namespaces.
const netnsDir = "/run/netns"

// A namespace is a named network namespace.
type namespace string

func (ns namespace) path() string { return filepath.Join(netnsDir, string(ns)) }

// add makes the namespace, with its loopback device up.
func (ns namespace) add(ctx context.Context) error {
	if _, err := command.Run(ctx, command.Command{Args: []string{"ip", "netns", "add", string(ns)}}); err != nil {
		return fmt.Errorf("add network namespace %s: %w", ns, err)
	}
	return ns.ip(ctx, "link set lo up")
}

// remove removes the namespace's name and with it, once its last process has gone, the namespace. It is no error if it does
// not exist.
func (ns namespace) remove(ctx context.Context) error {
	if _, err := os.Stat(ns.path()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if _, err := command.Run(ctx, command.Command{Args: []string{"ip", "netns", "delete", string(ns)}}); err != nil {
		return fmt.Errorf("remove network namespace %s: %w", ns, err)
	}
	return nil
}

// ip runs ip's commands in the namespace, in order, up to the first that fails.
func (ns namespace) ip(ctx context.Context, commands ...string) error {
	_, err := command.Run(ctx, command.Command{
		Args:  []string{"ip", "-netns", string(ns), "-batch", "-"},
		Stdin: strings.NewReader(strings.Join(commands, "\n") + "\n"),
	})
	if err != nil {
		return fmt.Errorf("configure network %s (%s): %w", ns, strings.Join(commands, "; "), err)
	}
	return nil
}

// run runs a program of this machine in the namespace, with stdin as its input.
func (ns namespace) run(ctx context.Context, stdin string, argv ...string) (string, error) {
	return command.Run(ctx, command.Command{
		Args:  append([]string{"nsenter", "--net=" + ns.path(), "--"}, argv...),
		Stdin: strings.NewReader(stdin),
	})
}

// inside calls f on a thread that is in the namespace. What f opens there, stays there.
func (ns namespace) inside(f func() error) error {
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with this goroutine instead of going back, changed, among the others.
		runtime.LockOSThread()
		dir, err := os.Open(ns.path())
		if err != nil {
			result <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		err = unix.Setns(int(dir.Fd()), unix.CLONE_NEWNET)
		_ = dir.Close() // only named
		if err != nil {
			result <- fmt.Errorf("enter network namespace %s: %w", ns, err)
			return
		}
		result <- f()
	}()
	return <-result
}

// dial connects from within the namespace to address, which must be a literal IP address and port: a name could be resolved
// by a thread that is not in the namespace.
func (ns namespace) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dial from %s: must be a literal IP address with a port: %w", ns, err)
	}
	err = ns.inside(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}
