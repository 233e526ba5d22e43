package nix

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kedge/proto"
)

// hears has what a fakeNix was told become the call after its command line.
const hears = `
while read -r line; do echo "$line"; done >>"${0%/*}/calls"`

func TestAPreparedProcessIsThereBeforeItIsTold(t *testing.T) {
	up := filepath.Join(t.TempDir(), "up")
	if err := unix.Mkfifo(up, 0o600); err != nil {
		t.Fatal(err)
	}
	c, calls := fakeNix(t, "echo 'warning: early' >&2\n: >"+up+hears+"\necho 'good> built' >&2")
	o := RealiseOptions{CopyTo: "file:///c", KeepGoing: true}
	o.Prepared = c.Prepare(t.Context(), o)
	if _, err := os.ReadFile(up); err != nil { // until it has opened it, and closed it
		t.Fatal(err)
	}
	a, b := exampleDerivations(t)
	o.Derivations = []proto.StorePath{a, b}
	var said []string
	o.Log = func(derivation, line string) { said = append(said, derivation+": "+line) }
	if err := c.Realise(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"nix copy --to file:///c --stdin --log-format bar-with-logs --keep-going --option log-lines 20 --option extra-experimental-features nix-command",
		a.String() + "^out", b.String() + "^out",
	}
	if diff := cmp.Diff(want, calls()); diff != "" {
		t.Errorf("called and told (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{": warning: early", "good: built"}, said); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	o.Prepared.Close() // changes nothing
}

func TestAPreparedProcessThatIsNotNeededEnds(t *testing.T) {
	c, _ := fakeNix(t, "exec sleep 600")
	p := c.Prepare(t.Context(), RealiseOptions{CopyTo: "file:///c"})
	p.Close()
	p.Close()
	if !errors.Is(p.err, errNotNeeded) {
		t.Errorf("it ended for %v, want %v", p.err, errNotNeeded)
	}
	if p := c.Prepare(t.Context(), RealiseOptions{}); p != nil {
		t.Error("a process waits that cannot")
	}
	if p := (&Remote{CLI: c}).Prepare(t.Context(), RealiseOptions{CopyTo: "file:///c"}); p != nil {
		t.Error("a process waits here for what another machine builds")
	}
	(*Prepared)(nil).Close()
}

func TestAPreparedProcessThatFails(t *testing.T) {
	superseded := errors.New("superseded")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(superseded)
	for name, tt := range map[string]struct {
		script           string
		prepare, realise context.Context
		want             error
		text             string
	}{
		"before it is told": {"echo 'error: no store' >&2; exit 3", t.Context(), t.Context(), nil, "error: no store"},
		"by what it made":   {"cat >/dev/null; echo 'error: no room' >&2; exit 1", t.Context(), t.Context(), nil, "error: no room"},
		"by its context":    {"exec sleep 600", ended, t.Context(), superseded, ""},
		"by the build's":    {"exec sleep 600", t.Context(), ended, superseded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := fakeNix(t, tt.script)
			// More than a pipe holds: nobody may wait for what is not read.
			a, _ := exampleDerivations(t)
			o := RealiseOptions{CopyTo: "file:///c"}
			o.Prepared = c.Prepare(tt.prepare, o)
			for range 5000 {
				o.Derivations = append(o.Derivations, a)
			}
			start := time.Now()
			err := c.Realise(tt.realise, o)
			var failed *CommandError
			if !errors.As(err, &failed) || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(failed.Stderr), tt.text) {
				t.Errorf("got %v, want %v, %s", err, tt.want, tt.text)
			}
			if took := time.Since(start); took > stopDelay/2 {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestAPreparedProcessThatReadsNotToTheEndHasFailed(t *testing.T) {
	c, _ := fakeNix(t, "exit 0")
	a, _ := exampleDerivations(t)
	o := RealiseOptions{CopyTo: "file:///c"}
	o.Prepared = c.Prepare(t.Context(), o)
	<-o.Prepared.ended
	o.Derivations = []proto.StorePath{a}
	if err := c.Realise(t.Context(), o); !errors.Is(err, unix.EPIPE) {
		t.Errorf("got %v, want %v", err, unix.EPIPE)
	}
}

func exampleDerivations(t *testing.T) (a, b proto.StorePath) {
	t.Helper()
	return parsePath(t, "/nix/store/00000000000000000000000000000000-a.drv"), parsePath(t, "/nix/store/11111111111111111111111111111111-b.drv")
}
