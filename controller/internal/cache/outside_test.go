package cache

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kedge/internal/nix"
	"kedge/proto"
)

// openOther returns caches of others, and the state directory.
func openOther(t *testing.T, n Nix, targets ...Target) (*Outside, string) {
	t.Helper()
	state := t.TempDir()
	o, err := OpenOutside(Options{
		Nix: n, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "key"), KeyName: "kedge-test-1",
		Log: slog.New(slog.DiscardHandler), Push: targets,
	})
	must(t, err)
	return o, state
}

// TestWithoutACacheOfOursOthersHaveEverything, and here is nothing but the key.
func TestWithoutACacheOfOursOthersHaveEverything(t *testing.T) {
	n, dir := newFake(t), t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "nar"), 0o755))
	o, state := openOther(t, n, Target{URL: "file://" + dir})
	web1, db1 := path(t, "web1"), path(t, "db1")
	closures, err := o.Push(t.Context(), web1, db1)
	must(t, err)
	with := open(t, newFake(t), t.TempDir())
	want, err := with.Push(t.Context(), web1, db1)
	must(t, err)
	for _, system := range []proto.StorePath{web1, db1} {
		if closures[system].Digest() != want[system].Digest() || len(closures[system]) == 0 {
			t.Errorf("closure of %s: %v, want %v as with a cache of ours", system, closures[system], want[system])
		}
		if list, err := os.ReadFile(filepath.Join(dir, closuresDir, system.Base()+listSuffix)); err != nil || string(list) != string(want[system].Text()) {
			t.Errorf("closure list of %s there: %q, %v", system, list, err)
		}
	}
	if n.closures != 1 {
		t.Errorf("the local store was asked %d times, want once for all", n.closures)
	}
	if looked, err := o.Closures(t.Context(), web1); err != nil || looked[web1].Digest() != want[web1].Digest() {
		t.Errorf("closures: %v, %v", looked, err)
	}
	if left, err := filepath.Glob(filepath.Join(state, "*")); err != nil || len(left) != 1 || left[0] != o.keyFile {
		t.Errorf("in the state directory is %v, %v; want the key alone", left, err)
	}
	recorder := httptest.NewRecorder()
	o.Handler(nil).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/nix-cache-info", nil))
	if recorder.Code != http.StatusNotFound {
		t.Errorf("served with %d, want nothing", recorder.Code)
	}
}

func TestWithoutACacheOfOursOneOfOthersHasToTakeIt(t *testing.T) {
	n := newFake(t)
	n.refuses = "http://down"
	o, _ := openOther(t, n, Target{URL: "http://down"}, Target{URL: "http://up"})
	if _, err := o.Relay(t.Context(), path(t, "db1")); !errors.Is(err, errRefused) {
		t.Errorf("error = %v, want %v", err, errRefused)
	}
	if _, err := o.Push(t.Context(), path(t, "missing")); err == nil {
		t.Error("pushed what is not in the local store")
	}
	if _, err := OpenOutside(Options{Nix: n, KeyFile: filepath.Join(t.TempDir(), "key"), KeyName: "kedge-test-1", Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("opened without any cache")
	}
}

// TestWithoutACacheOfOursWhatIsGoneIsGone, and not to be tried again for ever.
func TestWithoutACacheOfOursWhatIsGoneIsGone(t *testing.T) {
	n := newFake(t)
	o, _ := openOther(t, n, Target{URL: "http://up"})
	if _, err := o.Closures(t.Context(), path(t, "missing")); !errors.Is(err, ErrGone) {
		t.Errorf("error = %v, want %v", err, ErrGone)
	}
	if _, err := o.Provide(t.Context(), path(t, "missing")); !errors.Is(err, ErrGone) || len(n.copies) > 0 {
		t.Errorf("error = %v after copies %v, want %v and none", err, n.copies, ErrGone)
	}
	delete(n.store, path(t, "lib"))
	if _, err := o.Closures(t.Context(), path(t, "db1"), path(t, "app")); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("of a store that is damaged: error = %v, want another one", err)
	}
}

// TestWithoutACacheOfOursSignaturesAreInTheLocalStore, and looked for nowhere else.
func TestWithoutACacheOfOursSignaturesAreInTheLocalStore(t *testing.T) {
	n := newFake(t)
	o, _ := openOther(t, n, Target{URL: "http://up"})
	var asked nix.UntrustedOptions
	n.untrusted = func(u nix.UntrustedOptions) ([]proto.StorePath, error) {
		asked = u
		return []proto.StorePath{path(t, "lib")}, nil
	}
	if err := o.Signed(t.Context(), path(t, "web1"), nil); !errors.As(err, new(*UnsignedError)) {
		t.Errorf("error = %v, want an UnsignedError", err)
	}
	if len(asked.Stores) > 0 || !slices.Equal(asked.TrustedKeys, []proto.PublicKey{o.PublicKey()}) {
		t.Errorf("asked %+v", asked)
	}
}
