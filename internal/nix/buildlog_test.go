package nix

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

// buildOutput is as Nix 2.26.3 writes it, and at its end as 2.34.8 does.
const buildOutput = `these 2 derivations will be built:
  /nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv
building '/nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv'...
bad> compiling
good> 
bad> error: boom
ssh: what SSH says
error: builder for '/nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv' failed with exit code 3
building '/nix/store/k2674681jgaxca6xkm6w8zm947gdwlz1-bad-1.2-rc1.drv'...
bad> other
error: Cannot build '/nix/store/k2674681jgaxca6xkm6w8zm947gdwlz1-bad-1.2-rc1.drv'.
       Reason: builder failed with exit code 3.
error: 1 dependencies of derivation '/nix/store/l56kd724wd4rnc2srjq3mp5wn2cqsrwr-top.drv' failed to build
error: builder for '/nix/store/k2674681jgaxca6xkm6w8zm947gdwlz1-bad-1.2-rc1.drv' failed with exit code 3;
       last 1 log lines:
       > as Nix' daemon quotes it
copying path '/nix/store/k2674681jgaxca6xkm6w8zm947gdwlz1-good' to 'file:///c'...
good (post)> uploaded
error: builder for '/nix/store/k2674681jgaxca6xkm6w8zm947gdwlz1-bad.drv' failed
`

func TestABuildIsHeardAsItGoes(t *testing.T) {
	c, calls := fakeNix(t, "cat >&2 <<'EOF'\n"+buildOutput+"EOF\nexit 1")
	var got []string
	err := c.Realise(t.Context(), RealiseOptions{
		Derivations: []proto.StorePath{parsePath(t, jobDerivation)}, CopyTo: "file:///c",
		Log: func(derivation, line string) { got = append(got, derivation+"> "+line) },
	})
	want := []string{
		"> these 2 derivations will be built:",
		">   /nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv",
		"> building '/nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv'...",
		"bad> compiling",
		"good> ",
		"bad> error: boom",
		"> ssh: what SSH says",
		"> error: builder for '/nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv' failed with exit code 3",
		">        Last 2 log lines:",
		">        > compiling",
		">        > error: boom",
		"> building '/nix/store/k2674681jgaxca6xkm6w8zm947gdwlz1-bad-1.2-rc1.drv'...",
		"bad> other",
		"> error: Cannot build '/nix/store/k2674681jgaxca6xkm6w8zm947gdwlz1-bad-1.2-rc1.drv'.",
		">        Reason: builder failed with exit code 3.",
		">        Last 1 log lines:",
		">        > other",
		"> error: 1 dependencies of derivation '/nix/store/l56kd724wd4rnc2srjq3mp5wn2cqsrwr-top.drv' failed to build",
		"> error: builder for '/nix/store/k2674681jgaxca6xkm6w8zm947gdwlz1-bad-1.2-rc1.drv' failed with exit code 3;",
		">        last 1 log lines:",
		">        > as Nix' daemon quotes it",
		"> copying path '/nix/store/k2674681jgaxca6xkm6w8zm947gdwlz1-good' to 'file:///c'...",
		"good> uploaded",
		"> error: builder for '/nix/store/k2674681jgaxca6xkm6w8zm947gdwlz1-bad.drv' failed",
		">        Last 1 log lines:",
		">        > other",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	failed, ok := errors.AsType[*CommandError](err)
	var wantError []string // without what builders said, and what Nix was about to do
	for _, line := range want {
		if own, is := strings.CutPrefix(line, "> "); is && !strings.HasSuffix(own, "...") {
			wantError = append(wantError, own)
		}
	}
	if !ok || failed.Stderr != strings.Join(wantError, "\n")+"\n" {
		t.Errorf("error = %v, with\n%s\nwant\n%s", err, failed.Stderr, strings.Join(wantError, "\n"))
	}
	if call := calls()[0]; !strings.Contains(call, "--log-format bar-with-logs") {
		t.Errorf("called %q, which does not ask for the names of builders", call)
	}
}

// TestWhyABuildFailedIsKeptHoweverMuchFollows, as from it follows that all that depends
// on it failed, too: each is a message. What the error tells of it stays short.
func TestWhyABuildFailedIsKeptHoweverMuchFollows(t *testing.T) {
	const why = "error: builder for '/nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv' failed with exit code 3"
	const follows = "error: 1 dependencies of derivation '/nix/store/l56kd724wd4rnc2srjq3mp5wn2cqsrwr-top.drv' failed to build"
	c, _ := fakeNix(t, `echo "`+why+`" >&2; yes "`+follows+`" | head -n 5000 >&2; exit 1`)
	o := RealiseOptions{Derivations: []proto.StorePath{parsePath(t, jobDerivation)}}
	heard, prepared := o, o
	heard.Log, prepared.CopyTo = func(_, _ string) {}, "file:///c"
	for name, o := range map[string]RealiseOptions{"alone": o, "and heard": heard, "and copied": prepared} {
		failed, ok := errors.AsType[*CommandError](c.Realise(t.Context(), o))
		if !ok || !strings.HasPrefix(failed.Stderr, why) || len(failed.Error()) > 2*messageLimit {
			t.Errorf("realised %s: got an error of %d bytes, %.300v; want the cause to be kept, not told", name, len(fmt.Sprint(failed)), failed)
		}
	}
	_, err := c.Eval(t.Context(), EvalOptions{Installable: "f"})
	if failed, ok := errors.AsType[*CommandError](err); !ok || len(failed.Stderr) > stderrLimit {
		t.Errorf("evaluated: got %.300v, want no more than %d bytes to be kept", err, stderrLimit)
	}
}

// TestABuilderMaySayALongLine that ends no build: it is not the only one that is built.
func TestABuilderMaySayALongLine(t *testing.T) {
	c, _ := fakeNix(t, `printf 'bad> ' >&2
head -c 6000000 /dev/zero | tr '\0' x >&2
printf '\nbuilding\n' >&2`)
	var got []string
	err := c.Realise(t.Context(), RealiseOptions{
		Derivations: []proto.StorePath{parsePath(t, jobDerivation)},
		Log:         func(_, line string) { got = append(got, line) },
	})
	if diff := cmp.Diff([]string{"building"}, got); diff != "" || err != nil {
		t.Errorf("error = %v, log (-want +got):\n%s", err, diff)
	}
}
