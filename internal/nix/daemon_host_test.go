//go:build host

package nix

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/narinfo"
	"kedge/proto"
)

// startDaemon starts the real nix-daemon, beside one that systemd may start.
func startDaemon(t *testing.T, config string) Daemon {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "socket")
	cmd := exec.CommandContext(t.Context(), "nix-daemon")
	cmd.Env = append(os.Environ(), "HOME=/root", "NIX_DAEMON_SOCKET_PATH="+socket, "NIX_CONFIG="+config)
	cmd.Stderr = t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // it was interrupted
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := net.Dial("unix", socket) //nolint:noctx // it answers at once
		if err == nil {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			return Daemon{Socket: socket}
		}
		select {
		case <-again.C:
		case <-t.Context().Done():
			t.Fatal(err)
		}
	}
}

// A parcel is a closure that was in the store, and is to be imported again.
type parcel struct {
	closure proto.Closure
	infos   []narinfo.Info // in the order to import them
	nars    map[proto.StorePath][]byte
}

// pack takes good and what it refers to out of the store. key signs it; the zero
// key does not.
func pack(t *testing.T, c *CLI, key proto.SecretKey) parcel {
	t.Helper()
	good := buildGood(t, c)
	closure, err := c.Closure(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	p := parcel{closure: closure, nars: map[proto.StorePath][]byte{}}
	for _, one := range closure {
		nar, err := c.run(t.Context(), "nix-store", []string{"--dump"}, []string{one.Path.String()})
		if err != nil {
			t.Fatal(err)
		}
		p.nars[one.Path] = nar
		info := narinfo.Info{Path: one.Path, Hash: one.NarHash, Size: one.NarSize}
		for text := range strings.FieldsSeq(output(t, c, "nix-store", "--query", "--references", one.Path.String())) {
			info.References = append(info.References, parsePath(t, text))
		}
		p.infos = append(p.infos, signInfo(t, info, key))
	}
	slices.SortFunc(p.infos, func(a, b narinfo.Info) int { return len(a.References) - len(b.References) })
	p.unpack(t, c)
	return p
}

// unpack removes the closure from the store.
func (p parcel) unpack(t *testing.T, c *CLI) {
	t.Helper()
	args := []string{"--delete", "--ignore-liveness"}
	for _, one := range p.closure {
		args = append(args, one.Path.String())
	}
	output(t, c, "nix-store", args...)
}

func (p parcel) open(info narinfo.Info) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(p.nars[info.Path])), nil
}

func (p parcel) paths() []proto.StorePath {
	var paths []proto.StorePath
	for _, one := range p.closure {
		paths = append(paths, one.Path)
	}
	return paths
}

// top is the path that refers to the other one.
func (p parcel) top() proto.StorePath { return p.infos[len(p.infos)-1].Path }

func signInfo(t *testing.T, info narinfo.Info, key proto.SecretKey) narinfo.Info {
	t.Helper()
	info.Signatures = nil
	if key.IsZero() {
		return info
	}
	name, encoded, _ := strings.Cut(key.Reveal(), ":")
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	info.Signatures = []string{name + ":" + base64.StdEncoding.EncodeToString(ed25519.Sign(secret, []byte(info.Fingerprint())))}
	return info
}

func begin(ctx context.Context, t *testing.T, d Daemon, key proto.SecretKey) *Import {
	t.Helper()
	i, err := d.Import(ctx, []proto.PublicKey{key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() }) // it may be closed already
	return i
}

func TestRealImport(t *testing.T) {
	ctx, c := t.Context(), realCLI(t)
	key := generateKey(t, "cache-1")
	p := pack(t, c, key)
	d := startDaemon(t, "")
	i := begin(ctx, t, d, key)
	missing, err := i.Missing(p.paths())
	if err != nil || !slices.Equal(missing, p.paths()) {
		t.Errorf("missing: got %v, %v; want %v", missing, err, p.paths())
	}
	if err := i.Add(p.infos, p.open); err != nil {
		t.Fatal(err)
	}
	got, err := i.Closure(p.top())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.closure.Text(), got.Text()); diff != "" {
		t.Errorf("closure (-want +got):\n%s", diff)
	}
	if missing, err := i.Missing(p.paths()); err != nil || len(missing) > 0 {
		t.Errorf("missing then: got %v, %v", missing, err)
	}
	if changed, err := c.Changed(ctx, p.paths()...); err != nil || len(changed) > 0 {
		t.Errorf("changed: %v, %v", changed, err)
	}
	// No root leads there yet, but the conversation does.
	if err := c.CollectGarbage(ctx, 1<<60); err != nil {
		t.Fatal(err)
	}
	if invalid, err := c.Invalid(ctx, p.paths()...); err != nil || len(invalid) > 0 {
		t.Errorf("collected while it was imported: %v, %v", invalid, err)
	}
}

func TestRealImportIsNotBelieved(t *testing.T) {
	c := realCLI(t)
	key, foreign, namesake := generateKey(t, "cache-1"), generateKey(t, "foreign-1"), generateKey(t, "cache-1")
	p := pack(t, c, key)
	d := startDaemon(t, "trusted-public-keys = "+foreign.Public().String())
	careless := startDaemon(t, "require-sigs = false")
	signed := func(by proto.SecretKey) func([]narinfo.Info) {
		return func(infos []narinfo.Info) {
			for n := range infos {
				infos[n] = signInfo(t, infos[n], by)
			}
		}
	}
	swapped := p
	swapped.nars = map[proto.StorePath][]byte{}
	for _, info := range p.infos {
		nar := bytes.Clone(p.nars[info.Path])
		nar[bytes.LastIndexByte(nar, '\n')] = ' ' // at the end of the file in it
		swapped.nars[info.Path] = nar
	}
	for _, tt := range []struct {
		name  string
		spoil func([]narinfo.Info)
		open  func(narinfo.Info) (io.ReadCloser, error)
		says  string
	}{
		{"not signed", signed(proto.SecretKey{}), p.open, "signature"},
		{"signed by a key that nix.conf trusts", signed(foreign), p.open, "signature"},
		{"signed by a key of the same name", signed(namesake), p.open, "signature"},
		{"more references than were signed", func(infos []narinfo.Info) {
			infos[0].References = append(infos[0].References, p.top())
		}, p.open, "signature"},
		{"other bytes", func([]narinfo.Info) {}, swapped.open, "hash mismatch"},
		{"other bytes, with their hash", func(infos []narinfo.Info) { infos[0].Hash = infos[1].Hash }, swapped.open, "signature"},
		{"too short", func([]narinfo.Info) {}, func(narinfo.Info) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("nix")), nil
		}, "EOF"},
		{"too long", func([]narinfo.Info) {}, func(info narinfo.Info) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(append(bytes.Clone(p.nars[info.Path]), 0))), nil
		}, "longer than"},
		{"before what it refers to", slices.Reverse[[]narinfo.Info], p.open, "not valid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			infos := slices.Clone(p.infos)
			tt.spoil(infos)
			byDaemon := begin(t.Context(), t, d, key)
			byDaemon.daemon.add(infos, tt.open)
			for who, err := range map[string]error{
				"the daemon":                    byDaemon.result("import"),
				"we, where the daemon does not": begin(t.Context(), t, careless, key).Add(infos, tt.open),
			} {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%s: got %v, want %q in it", who, err, tt.says)
				}
			}
			invalid, err := c.Invalid(t.Context(), p.paths()...)
			if err != nil || len(invalid) != len(p.closure) {
				t.Errorf("invalid afterwards: %v, %v; want all", invalid, err)
			}
		})
	}
}

func TestRealImportEndsWithItsContext(t *testing.T) {
	c := realCLI(t)
	key := generateKey(t, "cache-1")
	p := pack(t, c, key)
	ctx, cancel := context.WithCancel(t.Context())
	i := begin(ctx, t, startDaemon(t, ""), key)
	err := i.Add(p.infos, func(info narinfo.Info) (io.ReadCloser, error) {
		cancel()
		return p.open(info)
	})
	for err == nil { // it was faster
		_, err = i.Missing(p.paths())
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
