package cache

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kedge/internal/nix"
	"kedge/proto"
)

func TestProblemsOfATarget(t *testing.T) {
	command := []string{"cachix", "push", "fleet"}
	for name, tt := range map[string]struct {
		target Target
		want   []string
	}{
		"S3":                         {Target{URL: "s3://bucket?region=eu-central-1"}, nil},
		"a server that takes PUT":    {Target{URL: "https://cache.example/x", Timeout: time.Minute}, nil},
		"a folder":                   {Target{URL: "file:///srv/cache"}, nil},
		"another machine":            {Target{URL: "ssh-ng://store@cache.example:2222", SSHKeyFile: "/k", KnownHostsFile: "/h"}, nil},
		"a command":                  {Target{Command: command}, nil},
		"a command with a token":     {Target{Command: command, TokenFile: "/run/keys/cachix", TokenVariable: "CACHIX_AUTH_TOKEN"}, nil},
		"S3 with a key":              {Target{URL: "s3://bucket", CredentialsFile: "/run/keys/s3"}, nil},
		"S3 at no such endpoint":     {Target{URL: "s3://bucket?endpoint=ftp://minio", CredentialsFile: "/run/keys/s3"}, []string{"url: must have a host, or its http"}},
		"HTTP with a netrc":          {Target{URL: "https://cache.example", CredentialsFile: "/run/keys/netrc"}, nil},
		"credentials for a folder":   {Target{URL: "file:///x", CredentialsFile: "/c"}, []string{"credentials_file: must be empty"}},
		"credentials for a command":  {Target{Command: command, CredentialsFile: "/c"}, []string{"credentials_file: must be empty"}},
		"credentials for everybody":  {Target{URL: "s3://bucket", CredentialsFile: "/nix/store/x-c"}, []string{"credentials_file: must be an absolute"}},
		"nothing":                    {Target{}, []string{"url: must be set, or command"}},
		"both":                       {Target{URL: "file:///x", Command: command}, []string{"url: must be set, or command"}},
		"no program":                 {Target{Command: []string{""}}, []string{"command: must begin"}},
		"no URL":                     {Target{URL: "cache"}, []string{"url: must be a file"}},
		"another protocol":           {Target{URL: "ssh://store"}, []string{"url: must be a file"}},
		"a password":                 {Target{URL: "https://u:p@cache.example"}, []string{"url: must hold no user"}},
		"a password for SSH":         {Target{URL: "ssh-ng://u:p@cache.example"}, []string{"url: must not hold a password"}},
		"an option for SSH":          {Target{URL: "ssh-ng://-oProxyCommand=id", SSHKeyFile: "k"}, []string{"ssh_key_file: must be an absolute", "url: must be like"}},
		"a key of somebody else":     {Target{URL: "s3://bucket?secret-key=/x"}, []string{"url: must name no key"}},
		"a relative folder":          {Target{URL: "file://x"}, []string{"url: must name a host"}},
		"no host":                    {Target{URL: "https:///x"}, []string{"url: must name a host"}},
		"SSH's keys for others":      {Target{URL: "file:///x", SSHKeyFile: "/k", KnownHostsFile: "/h"}, []string{"known_hosts_file: must be empty", "ssh_key_file: must be empty"}},
		"a token for Nix":            {Target{URL: "file:///x", TokenFile: "/t", TokenVariable: "T"}, []string{"token_file: must be empty without command"}},
		"a token that all can read":  {Target{Command: command, TokenFile: "/nix/store/x-token", TokenVariable: "T"}, []string{"token_file: must be an absolute"}},
		"a token that nobody finds":  {Target{Command: command, TokenFile: "/t"}, []string{"token_variable: must name"}},
		"a token from nowhere":       {Target{Command: command, TokenVariable: "A=B"}, []string{"token_file: must be an absolute", "token_variable: must name"}},
		"SSH's keys for a command's": {Target{Command: command, SSHKeyFile: "/k"}, []string{"ssh_key_file: must be empty"}},
	} {
		got := tt.target.Problems()
		if !slices.EqualFunc(got, tt.want, func(err error, want string) bool { return strings.HasPrefix(err.Error(), want) }) {
			t.Errorf("%s: got %v, want %q", name, got, tt.want)
		}
		if err := errors.Join(got...); err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: the error shows a password: %v", name, err)
		}
	}
}

// sending returns a cache whose closures are copied to a target, too.
func sending(t *testing.T, n *fakeNix, target Target) *Cache {
	t.Helper()
	if problems := target.Problems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	state := t.TempDir()
	c, err := Open(Options{
		Nix: n, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "key"), KeyName: "kedge-test-1",
		Log: slog.New(slog.DiscardHandler), Push: []Target{target},
	})
	must(t, err)
	return c
}

// TestPushToAnotherMachineSignsBefore: there Nix signs nothing. What others built keeps
// the signatures that it has.
func TestPushToAnotherMachineSignsBefore(t *testing.T) {
	n := newFake(t)
	c := sending(t, n, Target{URL: "ssh-ng://store@cache.example", SSHKeyFile: "/k", KnownHostsFile: "/h"})
	_, err := c.Relay(t.Context(), path(t, "db1"))
	must(t, err)
	if len(n.signed) > 0 {
		t.Errorf("signed %v, which others built", n.signed)
	}
	_, err = c.Push(t.Context(), path(t, "web1"))
	must(t, err)
	if want := []proto.StorePath{path(t, "web1")}; !slices.Equal(n.signed, want) {
		t.Errorf("signed %v, want %v", n.signed, want)
	}
	want := nix.SSHStore{URL: "ssh-ng://store@cache.example", KeyFile: "/k", KnownHostsFile: "/h"}
	if got := n.copies[len(n.copies)-1]; got.SSH != want || got.To != "" {
		t.Errorf("copied to %+v, want %+v", got, want)
	}
}

// program writes a shell script and returns its path.
func program(t *testing.T, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	must(t, os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o700))
	return file
}

func TestPushByACommand(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	must(t, os.WriteFile(token, []byte("s3cret\n"), 0o600))
	n := newFake(t)
	script := program(t, `cat >"$1/stdin"; echo "$*" >"$1/argv"; echo "$T" >"$1/token"`)
	c := sending(t, n, Target{Command: []string{script, dir, "fleet"}, TokenFile: token, TokenVariable: "T"})
	_, err := c.Push(t.Context(), path(t, "web2"), path(t, "db1"))
	must(t, err)
	for file, want := range map[string]string{
		"stdin": path(t, "db1").String() + "\n" + path(t, "web2").String() + "\n",
		"argv":  dir + " fleet\n",
		"token": "s3cret\n",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", file, got, err, want)
		}
	}
	if len(n.signed) != 2 {
		t.Errorf("signed %v, want what was built", n.signed)
	}
}

// TestACommandThatFails is told of with its last words, and without its token.
func TestACommandThatFails(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte("s3cret"), 0o600))
	for name, tt := range map[string]struct {
		script, token string
		want          string
	}{
		"it says why":       {`echo "401 for $T" >&2; exit 3`, token, "exit status 3: 401 for (secret)"},
		"it says nothing":   {`exit 3`, token, "exit status 3"},
		"it says very much": {`i=0; while test $i -lt 2000; do echo "line $i $T"; i=$((i + 1)); done; exit 3`, token, "line 1999 (secret)"},
		"there is no token": {`exit 0`, token + "-", "token_file: "},
		"it is not there":   {"", token, "no such file"},
		"it does not read":  {`exit 0`, token, ""},
	} {
		t.Run(name, func(t *testing.T) {
			script := program(t, tt.script)
			if tt.script == "" {
				must(t, os.Remove(script))
			}
			n := newFake(t)
			c := sending(t, n, Target{Command: []string{script, "push"}, TokenFile: tt.token, TokenVariable: "T"})
			_, err := c.Push(t.Context(), path(t, "db1"))
			if tt.want == "" {
				must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), script+" push") {
				t.Fatalf("error = %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "s3cret") || len(err.Error()) > 2*shownLimit {
				t.Errorf("error of %d bytes: %v; want it short, and without the token", len(err.Error()), err)
			}
		})
	}
}

// TestACommandThatLeavesAProcessBehind has done what it had to, as ssh leaves one that
// keeps its connection. It does not live on.
func TestACommandThatLeavesAProcessBehind(t *testing.T) {
	t.Parallel() // it is waited for
	left := filepath.Join(t.TempDir(), "left")
	must(t, syscall.Mkfifo(left, 0o600))
	f, err := os.OpenFile(left, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	must(t, err)
	defer f.Close()
	c := sending(t, newFake(t), Target{Command: []string{program(t, `sleep 1000 3>"$1" & exit 0`), left}})
	_, err = c.Push(t.Context(), path(t, "db1"))
	must(t, err)
	_, err = io.ReadAll(f) // until nobody can write any more
	must(t, err)
}

// TestACommandThatFailedIsRunAgain when the revision is tried again.
func TestACommandThatFailedIsRunAgain(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there")
	n := newFake(t)
	c := sending(t, n, Target{Command: []string{program(t, `test -e "$1"`), there}})
	if _, err := c.Push(t.Context(), path(t, "db1")); err == nil {
		t.Fatal("a command that fails is no error")
	}
	must(t, os.WriteFile(there, nil, 0o600))
	_, err := c.Push(t.Context(), path(t, "db1"))
	must(t, err)
}

// TestACommandHasAnEnd: with its time, and with the work on the revision.
func TestACommandHasAnEnd(t *testing.T) {
	n := newFake(t)
	c := sending(t, n, Target{Command: []string{program(t, `sleep 1000`)}, Timeout: time.Millisecond})
	if _, err := c.Push(t.Context(), path(t, "db1")); err == nil || !strings.Contains(err.Error(), "no end within 1ms") {
		t.Errorf("error = %v, want that it has no end", err)
	}
	superseded := errors.New("superseded")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	begun := filepath.Join(t.TempDir(), "begun")
	must(t, syscall.Mkfifo(begun, 0o600))
	c = sending(t, n, Target{Command: []string{program(t, `echo >"$1"; sleep 1000`), begun}})
	ended := make(chan error, 1)
	go func() {
		_, err := c.Push(ctx, path(t, "db1"))
		ended <- err
	}()
	_, err := os.ReadFile(begun) // waits for the command
	must(t, err)
	cancel(superseded)
	if err := <-ended; !errors.Is(err, superseded) {
		t.Errorf("error = %v, want %v", err, superseded)
	}
}
