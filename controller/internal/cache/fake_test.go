package cache

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"kedge/internal/narinfo"
	"kedge/internal/nix"
	"kedge/proto"
)

// fakeNix has a store of three hosts' systems, and copies like Nix does: what
// the target has already it leaves alone.
type fakeNix struct {
	t          *testing.T
	store      map[proto.StorePath][]proto.StorePath // path → references
	copying    sync.Mutex                            // guards copies
	copies     []nix.CopyOptions
	copyErr    error
	hangsAt    string // copies to URLs that begin so last as long as their context
	refuses    string // copies to URLs that begin so
	hangs      bool   // every call lasts as long as its context
	meanwhile  func() // happens while closures are copied to another cache over HTTP
	afterwards error  // what comes of that
	closures   int
	signed     []proto.StorePath // in the local store
	untrusted  func(nix.UntrustedOptions) ([]proto.StorePath, error)

	elsewhere   string // URL of the cache that has what is not here
	substituted []nix.SubstituteOptions
}

var errRefused = errors.New("403 Forbidden")

// Copy implements Nix.
func (f *fakeNix) Copy(ctx context.Context, o nix.CopyOptions) error {
	if f.hangs {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	f.copying.Lock() // further caches are copied to at once
	f.copies = append(f.copies, o)
	f.copying.Unlock()
	if f.hangsAt != "" && strings.HasPrefix(o.To, f.hangsAt) {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if f.copyErr != nil {
		return f.copyErr
	}
	if f.refuses != "" && strings.HasPrefix(o.To, f.refuses) {
		return errRefused
	}
	if o.SSH.URL != "" {
		return nil
	}
	if strings.HasPrefix(o.To, "http") || strings.HasPrefix(o.To, "s3") {
		if f.meanwhile != nil {
			f.meanwhile()
		}
		return cmp.Or(f.afterwards, context.Cause(ctx))
	}
	u, err := url.Parse(o.To)
	if err != nil {
		return err
	}
	closure, err := f.Closure(ctx, o.Paths...)
	if err != nil {
		return err
	}
	for _, p := range closure {
		f.copyOne(u.Path, u.Query().Get("secret-key"), p)
	}
	return nil
}

// Sign implements Nix.
func (f *fakeNix) Sign(_ context.Context, _ string, paths ...proto.StorePath) error {
	f.signed = append(f.signed, paths...)
	return nil
}

func (f *fakeNix) copyOne(dir, keyFile string, p proto.ClosurePath) {
	f.t.Helper()
	file := filepath.Join(dir, p.Path.Hash()+".narinfo")
	if _, err := os.Stat(file); err == nil {
		return
	}
	content := "NAR of " + p.Path.String()
	info := narinfo.Info{
		Path: p.Path, File: "nar/" + p.Path.Hash() + ".nar.zst", FileSize: int64(len(content)),
		Hash: p.NarHash, Size: p.NarSize, References: slices.SortedFunc(slices.Values(f.store[p.Path]), proto.StorePath.Compare),
	}
	var references []string
	for _, r := range info.References {
		references = append(references, r.Base())
	}
	text := fmt.Sprintf("StorePath: %s\nURL: %s\nCompression: zstd\nFileHash: sha256:x\nFileSize: %d\nNarHash: %s\nNarSize: %d\nReferences: %s\nDeriver: x.drv\n",
		info.Path, info.File, info.FileSize, info.Hash, info.Size, strings.Join(references, " "))
	if keyFile != "" {
		text += "Sig: " + f.sign(keyFile, info) + "\n"
	}
	must(f.t, os.WriteFile(filepath.Join(dir, info.File), []byte(content), 0o644))
	must(f.t, os.WriteFile(file, []byte(text), 0o644))
}

func (f *fakeNix) sign(keyFile string, info narinfo.Info) string {
	f.t.Helper()
	text, err := os.ReadFile(keyFile)
	must(f.t, err)
	name, encoded, _ := strings.Cut(strings.TrimSpace(string(text)), ":")
	key, err := base64.StdEncoding.DecodeString(encoded)
	must(f.t, err)
	return name + ":" + base64.StdEncoding.EncodeToString(ed25519.Sign(ed25519.PrivateKey(key), []byte(info.Fingerprint())))
}

// Closures implements Nix.
func (f *fakeNix) Closures(ctx context.Context, paths ...proto.StorePath) (map[proto.StorePath]proto.Closure, error) {
	f.closures++
	all := map[proto.StorePath]proto.Closure{}
	for _, p := range paths {
		closure, err := f.Closure(ctx, p)
		if err != nil {
			return nil, err
		}
		all[p] = closure
	}
	return all, nil
}

// Closure implements Nix.
func (f *fakeNix) Closure(ctx context.Context, paths ...proto.StorePath) (proto.Closure, error) {
	if f.hangs {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	var closure proto.Closure
	seen := map[proto.StorePath]bool{}
	for next := paths; len(next) > 0; next = next[1:] {
		references, valid := f.store[next[0]]
		if !valid {
			return nil, fmt.Errorf("path %s is not valid", next[0])
		}
		if !seen[next[0]] {
			seen[next[0]] = true
			sum := sha256.Sum256([]byte(next[0].String()))
			hash := "sha256:" + strings.ReplaceAll(fmt.Sprintf("%x", sum[:26]), "e", "g") // 52 digits that Nix has, too
			closure = append(closure, proto.ClosurePath{Path: next[0], NarHash: hash, NarSize: 96})
			next = append(next, references...)
		}
	}
	slices.SortFunc(closure, func(a, b proto.ClosurePath) int { return a.Path.Compare(b.Path) })
	return closure, nil
}

// Untrusted implements Nix.
func (f *fakeNix) Untrusted(ctx context.Context, o nix.UntrustedOptions) ([]proto.StorePath, error) {
	if f.hangs {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return f.untrusted(o)
}

// Invalid implements Nix.
func (f *fakeNix) Invalid(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error) {
	if f.hangs {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	var invalid []proto.StorePath
	for _, p := range paths {
		if _, valid := f.store[p]; !valid {
			invalid = append(invalid, p)
		}
	}
	return invalid, nil
}

// Substitute implements Nix.
func (f *fakeNix) Substitute(_ context.Context, o nix.SubstituteOptions) (proto.Closure, error) {
	f.substituted = append(f.substituted, o)
	if f.elsewhere != o.From {
		return nil, errors.New("the cache does not have the path")
	}
	f.store[o.Path] = nil
	return nil, nil
}

// newFake returns the systems web1 and web2, which share a library, and db1.
func newFake(t *testing.T) *fakeNix {
	return &fakeNix{t: t, store: map[proto.StorePath][]proto.StorePath{
		path(t, "web1"): {path(t, "web1"), path(t, "app"), path(t, "lib")},
		path(t, "web2"): {path(t, "app")},
		path(t, "db1"):  nil,
		path(t, "app"):  {path(t, "lib")},
		path(t, "lib"):  nil,
	}}
}

func open(t *testing.T, n Nix, state string) *Cache {
	t.Helper()
	c, err := Open(Options{
		Nix: n, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "keys", "cache"),
		KeyName: "kedge-test-1", Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	return c
}

// path returns a store path called name, with a hash of its own.
func path(t *testing.T, name string) proto.StorePath {
	t.Helper()
	hash := strings.NewReplacer("e", "f", "o", "p", "t", "s", "u", "v").Replace(name)
	p, err := proto.ParseStorePath(proto.StoreDir + hash + strings.Repeat("0", 32-len(hash)) + "-" + name)
	must(t, err)
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
