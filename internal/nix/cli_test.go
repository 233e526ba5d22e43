package nix

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

// fakeNix returns a CLI whose programs all are the shell script body, and a
// function that returns the command line of every call so far, a line each.
func fakeNix(t *testing.T, body string) (*CLI, func() []string) {
	t.Helper()
	dir := t.TempDir()
	calls := filepath.Join(dir, "calls")
	script := "#!/bin/sh\necho \"${0##*/} $*\" >>" + calls + "\n" + body + "\n"
	for _, name := range []string{"nix", "nix-store", evalJobs} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return &CLI{BinDir: dir}, func() []string {
		data, err := os.ReadFile(calls)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
}

func TestCommandLines(t *testing.T) {
	a := parsePath(t, "/nix/store/00000000000000000000000000000000-a")
	b := parsePath(t, "/nix/store/11111111111111111111111111111111-b")
	tests := []struct {
		name string
		call func(ctx context.Context, c *CLI) error
		want string
	}{
		{
			"copy to",
			func(ctx context.Context, c *CLI) error {
				return c.Copy(ctx, CopyOptions{To: "file:///c?secret-key=/k", Paths: []proto.StorePath{a}})
			},
			"nix copy --to file:///c?secret-key=/k --option narinfo-cache-positive-ttl 0 --option extra-experimental-features nix-command --option max-jobs 3 -- " + a.String(),
		},
		{
			"copy with credentials",
			func(ctx context.Context, c *CLI) error {
				return c.Copy(ctx, CopyOptions{To: "http://c", NetrcFile: "/n", Direct: true, Paths: []proto.StorePath{a}})
			},
			"nix copy --to http://c --option narinfo-cache-positive-ttl 0 --option extra-experimental-features nix-command --option netrc-file /n --option max-jobs 3 -- " + a.String(),
		},
		{
			"copy by SSH",
			func(ctx context.Context, c *CLI) error {
				return c.Copy(ctx, CopyOptions{SSH: exampleSSHStore(), Paths: []proto.StorePath{a}})
			},
			"nix copy --to ssh-ng://builder@big.example --option narinfo-cache-positive-ttl 0 --option extra-experimental-features nix-command --option max-jobs 3 -- " + a.String(),
		},
		{
			"sign",
			func(ctx context.Context, c *CLI) error { return c.Sign(ctx, "/k", a, b) },
			"nix store sign --recursive --key-file /k --option extra-experimental-features nix-command --option max-jobs 3 -- " + a.String() + " " + b.String(),
		},
		{
			"realise",
			func(ctx context.Context, c *CLI) error {
				return c.Realise(ctx, RealiseOptions{Derivations: []proto.StorePath{a}, KeepGoing: true})
			},
			"nix-store --realise --no-build-output --keep-going --option log-lines 20 --option max-jobs 3 -- " + a.String(),
		},
		{
			"realise and copy",
			func(ctx context.Context, c *CLI) error {
				return c.Realise(ctx, RealiseOptions{Derivations: []proto.StorePath{a}, KeepGoing: true, MaxSilent: 10 * time.Minute, CopyTo: "file:///c"})
			},
			"nix copy --to file:///c --stdin --log-format bar-with-logs --keep-going --option log-lines 20 --option max-silent-time 600" +
				" --option extra-experimental-features nix-command --option max-jobs 3",
		},
		{
			"evaluate",
			func(ctx context.Context, c *CLI) error {
				_, err := c.Eval(ctx, EvalOptions{Installable: "/f#hosts", Apply: "builtins.attrNames"})
				return err
			},
			"nix eval --json --no-write-lock-file --apply builtins.attrNames" +
				" --option extra-experimental-features nix-command flakes --option eval-cache false --option max-jobs 3 -- /f#hosts",
		},
		{
			"invalid",
			func(ctx context.Context, c *CLI) error { _, err := c.Invalid(ctx, a, b); return err },
			"nix-store --check-validity --print-invalid --option max-jobs 3 -- " + a.String() + " " + b.String(),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, calls := fakeNix(t, "")
			c.Settings = []Setting{{"max-jobs", "3"}}
			if err := tt.call(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tt.want}, calls()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNothingIsRunForInvalidOptions(t *testing.T) {
	c := &CLI{BinDir: t.TempDir()} // any run fails with fs.ErrNotExist
	a := []proto.StorePath{parsePath(t, "/nix/store/00000000000000000000000000000000-a")}
	for name, err := range map[string]error{
		"copy to nowhere": c.Copy(t.Context(), CopyOptions{Paths: a}),
		"copy nothing":    c.Copy(t.Context(), CopyOptions{To: "y"}),
		"realise nothing": c.Realise(t.Context(), RealiseOptions{}),
	} {
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAFailedCommandExplainsItself(t *testing.T) {
	c, _ := fakeNix(t, `echo "copying path 'x'" >&2; echo "error: first" >&2; printf 'error:\n       … while\n\n       error: no space left\n' >&2; exit 7`)
	_, err := c.Eval(t.Context(), EvalOptions{Installable: "f"})
	var ce *CommandError
	if !errors.As(err, &ce) {
		t.Fatalf("got %T %v", err, err)
	}
	if ce.ExitCode != 7 || !strings.Contains(ce.Stderr, "copying path") {
		t.Errorf("got exit code %d, stderr %q", ce.ExitCode, ce.Stderr)
	}
	if got, want := err.Error(), ": exit status 7: error: no space left"; !strings.HasSuffix(got, want) {
		t.Errorf("text: got %q, want suffix %q", got, want)
	}
}

// TestAnEvaluationPrintsNoMoreThanThereIsMemoryFor, however the program ends when nobody
// reads what it prints.
func TestAnEvaluationPrintsNoMoreThanThereIsMemoryFor(t *testing.T) {
	for _, end := range []string{"exec head -c 70000000 /dev/zero", "head -c 70000000 /dev/zero; exit 1", "head -c 70000000 /dev/zero; exit 0"} {
		c, _ := fakeNix(t, end)
		got, err := c.Eval(t.Context(), EvalOptions{Installable: "f"})
		failed, ok := errors.AsType[*CommandError](err)
		if !ok || failed.BySelf() || !strings.Contains(err.Error(), "more than 64 MiB") || !strings.Contains(err.Error(), "output kedge") {
			t.Errorf("%q: got %d bytes, error %v; want one that says what is too large, and where", end, len(got), err)
		}
	}
}

func TestThatNothingCameOfItIsNoMessage(t *testing.T) {
	const why = "warning: ignoring substitute for 'a' from 'b', as it's not signed by any of the keys in 'trusted-public-keys'"
	for _, after := range []string{
		"", "warning: build of 'a' failed\n", "warning: path 'a' is required, but there is no substituter that can build it\n",
	} {
		err := &CommandError{Args: []string{"nix-store"}, Stderr: "copying\n" + why + "\n" + after, Err: errNotBrought}
		if !strings.HasSuffix(err.Error(), why) {
			t.Errorf("followed by %q: got %q, want it to end with %q", after, err, why)
		}
	}
}

func TestAMissingProgramIsACommandError(t *testing.T) {
	c := &CLI{BinDir: t.TempDir()}
	_, err := c.Version(t.Context())
	var ce *CommandError
	if !errors.As(err, &ce) || ce.ExitCode != -1 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %T %v", err, err)
	}
}

func TestACommandEndsWithItsContextAndTakesItsChildrenAlong(t *testing.T) {
	// The child ignores nothing and holds stdout open: were it not in the
	// group that gets the signal, the call would wait for stopDelay.
	c, _ := fakeNix(t, "sleep 60 & wait")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := c.Version(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if took := time.Since(start); took > stopDelay/2 {
		t.Errorf("it took %v", took)
	}
}

func TestEnvironment(t *testing.T) {
	tests := []struct {
		name     string
		environ  []string
		cacheDir string
		want     string
	}{
		{"has a home where there is none", []string{"PATH=/bin"}, "", "home=/root cache= locale=C"},
		{"has a home where it is empty", []string{"HOME="}, "", "home=/root cache= locale=C"},
		{"keeps the home", []string{"HOME=/home/a", "LC_ALL=de_DE"}, "", "home=/home/a cache= locale=C"},
		{"has the cache directory", []string{"HOME=/h", "XDG_CACHE_HOME=/x"}, "/c", "home=/h cache=/c locale=C"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := fakeNix(t, `echo "\"home=$HOME cache=$XDG_CACHE_HOME locale=$LC_ALL\""`)
			c.Environ, c.CacheDir = tt.environ, tt.cacheDir
			var got string
			if err := c.EvalInto(t.Context(), EvalOptions{Installable: "x"}, &got); err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestCopyAlone asks no proxy, and what Nix remembers of the other store is remembered apart.
func TestCopyAlone(t *testing.T) {
	c, _ := fakeNix(t, `echo "cache=$XDG_CACHE_HOME proxies=$no_proxy,$NO_PROXY" >&2; exit 1`)
	c.CacheDir, c.Environ = "/usual", []string{"PATH=" + os.Getenv("PATH"), "no_proxy=x"}
	a := parsePath(t, "/nix/store/00000000000000000000000000000000-a")
	for want, o := range map[string]CopyOptions{
		"cache=/usual proxies=x,":  {},
		"cache=/apart proxies=*,*": {Direct: true, CacheDir: "/apart"},
	} {
		o.To, o.Paths = "http://c", []proto.StorePath{a}
		if err := c.Copy(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("copy with %+v: %v, want %q", o, err, want)
		}
	}
}

func parsePath(t testing.TB, s string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
