package nix

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

// substitutes returns options that ask for what conversation brings.
func substitutes(t *testing.T) SubstituteOptions {
	t.Helper()
	key, err := proto.ParsePublicKey("cache-1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
	if err != nil {
		t.Fatal(err)
	}
	return SubstituteOptions{From: "http://cache", Path: parsePath(t, serveA), TrustedKeys: []proto.PublicKey{key}}
}

// saying returns the body of a program that says text, and then does the rest.
func saying(t *testing.T, text []byte, rest string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "said")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return "cat " + file + "\n" + rest
}

func TestSubstitute(t *testing.T) {
	c, calls := fakeNix(t, saying(t, conversation(t), "cat >/dev/null"))
	o := substitutes(t)
	closure, err := c.Substitute(t.Context(), o)
	if err != nil || len(closure) != 2 {
		t.Errorf("got %v, %v", closure, err)
	}
	want := "nix-store --serve --write --option substitute true --option substituters http://cache" +
		" --option narinfo-cache-negative-ttl 0 --option narinfo-cache-positive-ttl 0" +
		" --option connect-timeout 15 --option stalled-download-timeout 20 --option download-attempts 3 --option fsync-store-paths true" +
		" --option require-sigs true --option trusted-public-keys " + o.TrustedKeys[0].String()
	if diff := cmp.Diff([]string{want}, calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestAHiddenCacheIsInTheEnvironmentAlone(t *testing.T) {
	c, calls := fakeNix(t, saying(t, conversation(t), `cat >/dev/null; echo "$NIX_CONFIG" >"$0.config"`))
	c.Environ = append(os.Environ(), "NIX_CONFIG=substituters = http://another")
	o := substitutes(t)
	o.From, o.Hidden = "http://127.0.0.1:1/secret", true
	if _, err := c.Substitute(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if argv := strings.Join(calls(), "\n"); strings.Contains(argv, "secret") || strings.Contains(argv, "substituters") {
		t.Errorf("everybody sees %s", argv)
	}
	got, err := os.ReadFile(filepath.Join(c.BinDir, "nix-store.config"))
	if want := "substituters = http://another\nsubstituters = http://127.0.0.1:1/secret\n"; err != nil || string(got) != want {
		t.Errorf("NIX_CONFIG is %q, %v; want %q", got, err, want)
	}
}

func TestSubstituteFails(t *testing.T) {
	missing, b := newSaid()
	missing.writeNumbers(serveWelcome, 2<<8|7, 0) // no path is valid
	missing.flush()
	whole := conversation(t)
	tests := []struct {
		name     string
		says     []byte
		rest     string
		exitCode int
		is       error
		text     string
	}{
		{"the cache does not deliver", b.Bytes(), "echo 'warning: no such host' >&2; cat >/dev/null", 0, errNotBrought, "no such host"},
		{"nix fails", whole[:16], "echo 'error: database is locked' >&2; exit 1", 1, nil, "database is locked"},
		{"nix ends early", whole[:16], "", 0, io.EOF, ""},
		{"another program", []byte(strings.Repeat("hello", 10)), "exec sleep 60", -1, errGarbled, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			c, _ := fakeNix(t, saying(t, tt.says, tt.rest))
			closure, err := c.Substitute(t.Context(), substitutes(t))
			var failed *CommandError
			if !errors.As(err, &failed) || failed.ExitCode != tt.exitCode || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, %v; want exit code %d, %v, %q", closure, err, tt.exitCode, tt.is, tt.text)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestNothingIsSubstitutedForInvalidOptions(t *testing.T) {
	for name, spoil := range map[string]func(*SubstituteOptions){
		"no cache":            func(o *SubstituteOptions) { o.From = "" },
		"two caches":          func(o *SubstituteOptions) { o.From += " http://evil" },
		"a cache is believed": func(o *SubstituteOptions) { o.From += "?trusted=true" },
		"no path":             func(o *SubstituteOptions) { o.Path = proto.StorePath{} },
		"no key":              func(o *SubstituteOptions) { o.TrustedKeys = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := substitutes(t)
			spoil(&o)
			c := &CLI{BinDir: t.TempDir()}
			_, err := c.Substitute(t.Context(), o)
			var ran *CommandError
			if err == nil || errors.As(err, &ran) {
				t.Errorf("got %v", err)
			}
		})
	}
}
