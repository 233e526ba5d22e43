package nix

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"kedge/internal/narinfo"
	"kedge/proto"
)

// daemonSocket is where the daemon listens.
const daemonSocket = "/nix/var/nix/daemon-socket/socket"

// A Daemon is the host's nix-daemon, which systemd starts when somebody connects.
// For root, which it trusts, it does what nix-store does, without a program that
// has to start: it adds a path for a third of the processor time.
type Daemon struct {
	// Socket is where it listens; empty is where it does on NixOS.
	Socket string
}

// Import connects to the daemon, to add paths that one of keys has signed. The
// import ends with ctx, and with Close.
func (d Daemon) Import(ctx context.Context, keys []proto.PublicKey) (*Import, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	i := &Import{
		ctx:    ctx,
		conn:   conn,
		keys:   keys,
		daemon: daemonConn{newWire(conn, conn)},
		stop:   context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }), // it is open until Close
	}
	texts := make([]string, len(keys))
	for n, k := range keys {
		texts[n] = k.String()
	}
	i.daemon.greet()
	i.daemon.set([]Setting{
		{"fsync-store-paths", "true"},
		{"require-sigs", "true"},
		{"trusted-public-keys", strings.Join(texts, " ")},
	})
	if err := i.result("greet nix-daemon"); err != nil {
		_ = i.Close() // what went wrong before counts
		return nil, err
	}
	return i, nil
}

// dial connects to the daemon.
func (d Daemon) dial(ctx context.Context) (net.Conn, error) {
	socket := d.Socket
	if socket == "" {
		socket = daemonSocket
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connect to nix-daemon: %w", err)
	}
	return conn, nil
}

// An Import is one conversation with the daemon, for one goroutine. After an
// error it can only be closed.
type Import struct {
	ctx    context.Context //nolint:containedctx // a conversation lasts no longer
	conn   net.Conn
	keys   []proto.PublicKey
	daemon daemonConn
	stop   func() bool
}

// Close lets go of the daemon, and of what it kept for us.
func (i *Import) Close() error {
	i.stop()
	return i.conn.Close()
}

// Missing returns those of paths that are not valid. All of them, valid or not,
// are kept from being collected until Close.
func (i *Import) Missing(paths []proto.StorePath) ([]proto.StorePath, error) {
	i.daemon.keep(paths) // first: what is valid then, stays so
	valid := i.daemon.valid(paths)
	if err := i.result("look for what is missing"); err != nil {
		return nil, err
	}
	there := make(map[proto.StorePath]bool, len(valid))
	for _, p := range valid {
		there[p] = true
	}
	return slices.DeleteFunc(slices.Clone(paths), func(p proto.StorePath) bool { return there[p] }), nil
}

// Add adds paths, each of which comes after those that it refers to. open
// returns a path's NAR, and is called in their order; what it returns is closed.
// A path that none of the keys has signed is an error, and then none is added.
// The daemon verifies that, too, unless nix.conf has require-sigs = false, and
// compares each NAR with its hash. What came before an error of its stays. What
// is added is on the disk on return (with Nix 2.25 and newer).
func (i *Import) Add(paths []narinfo.Info, open func(narinfo.Info) (io.ReadCloser, error)) error {
	for _, info := range paths {
		if i.daemon.err == nil && !info.SignedBy(i.keys...) {
			i.daemon.err = fmt.Errorf("%s: it lacks a signature by a trusted key", info.Path)
		}
	}
	if i.daemon.err == nil {
		i.daemon.add(paths, open)
	}
	return i.result("import")
}

// Closure returns path, which is valid, and all that it refers to, as they are
// registered, sorted.
func (i *Import) Closure(path proto.StorePath) (proto.Closure, error) {
	var closure proto.Closure
	met := map[proto.StorePath]bool{path: true}
	for next := []proto.StorePath{path}; len(next) > 0; {
		infos := i.daemon.infos(next)
		if err := i.result("query closure of " + path.String()); err != nil {
			return nil, err
		}
		next = nil
		for _, info := range infos {
			closure = append(closure, proto.ClosurePath{Path: info.Path, NarHash: info.Hash, NarSize: info.Size})
			for _, r := range info.References {
				if !met[r] {
					met[r] = true
					next = append(next, r)
				}
			}
		}
	}
	slices.SortFunc(closure, func(a, b proto.ClosurePath) int { return a.Path.Compare(b.Path) })
	return closure, nil
}

// result returns what went wrong so far, if anything did.
func (i *Import) result(what string) error {
	if i.daemon.err == nil {
		return nil
	}
	if i.ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(i.ctx))
	}
	return fmt.Errorf("%s: %w", what, i.daemon.err)
}
