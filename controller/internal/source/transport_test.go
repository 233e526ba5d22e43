package source_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/source"
)

// TestOverSSH has an ssh that runs the command here, and says how it was called.
func TestOverSSH(t *testing.T) {
	origin := newOrigin(t)
	revision := origin.commit("flake.nix", "{ }")
	bin := t.TempDir()
	calls := filepath.Join(bin, "calls")
	script := "#!/bin/sh\necho \"$@\" >>" + calls + "\nfor last; do :; done\nexec sh -c \"$last\"\n"
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))

	for _, url := range []string{"git@example.org:" + origin.dir, "ssh://git@example.org" + origin.dir} {
		r := newRepository(t, source.Options{URL: url, Branch: "main"})
		if got := check(t, r); got != revision {
			t.Errorf("%s: newest revision: got %s, want %s", url, got, revision)
		}
		checkout(t, r, revision)
	}
	said, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	for _, line := range lines {
		if !strings.Contains(line, "-oBatchMode=yes") || !strings.Contains(line, "git@example.org") {
			t.Errorf("ssh was called with %q, want it never to ask, as git at example.org", line)
		}
	}
	if len(lines) != 4 {
		t.Errorf("ssh was called %d times, want once for each check and fetch", len(lines))
	}
}

// TestGitHasAHome in which it finds credential helpers, also as a service.
func TestGitHasAHome(t *testing.T) {
	bin := t.TempDir()
	writeFile(t, filepath.Join(bin, "git"), "#!/bin/sh\necho \"home is $HOME\" >&2; exit 1\n")
	if err := os.Chmod(filepath.Join(bin, "git"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	r := newRepository(t, source.Options{URL: "https://example.org/fleet.git", Branch: "main"})
	for home, want := range map[string]string{"": "home is /root", "/home/a": "home is /home/a"} {
		t.Setenv("HOME", home)
		if _, err := r.Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want that %s", err, want)
		}
	}
}

// TestAServerThatWantsAnotherKeySaysWhichFile: of what is refused it is said where to look.
func TestAServerThatWantsAnotherKeySaysWhichFile(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	r := newRepository(t, source.Options{URL: "ssh://git@example.org/fleet.git", Branch: "main"})
	for said, want := range map[string]string{
		"git@example.org: Permission denied (publickey).":        "see ssh_key_file",
		"Host key verification failed.":                          "see known_hosts_file",
		"ERROR: Repository not found.":                           "see url",
		"fatal: '/fleet.git' does not appear to be a repository": "cannot be read",
	} {
		script := "#!/bin/sh\necho \"" + said + "\" >&2\nexit 255\n"
		if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Check(t.Context()); !errors.Is(err, source.ErrUnreachable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want ErrUnreachable that says: %s", said, err, want)
		}
	}
}

// TestASilentServerIsGivenUp needs no ssh: a server that never answers looks the
// same to git over any transport.
func TestASilentServerIsGivenUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r := newRepository(t, source.Options{
		URL: "https://" + listener.Addr().String() + "/fleet.git", Branch: "main", Timeout: 200 * time.Millisecond,
	})
	start := time.Now()
	_, err = r.Check(t.Context())
	if !errors.Is(err, source.ErrUnreachable) {
		t.Errorf("got error %v, want ErrUnreachable", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s to give up", took)
	}

	// That nobody waits any longer is no fault of the server.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.Check(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, source.ErrUnreachable) {
		t.Errorf("after ctx ended: got error %v, want only context.DeadlineExceeded", err)
	}
}

// TestGitNeverAsks lets a server ask git for a password, gives git programs to
// ask people with, and requires that it fails instead.
func TestGitNeverAsks(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	home := t.TempDir()
	helper, asked := filepath.Join(home, "ask"), filepath.Join(home, "asked")
	for file, text := range map[string]string{
		helper:                            "#!/bin/sh\necho \"$1\" >>" + asked + "\n",
		filepath.Join(home, ".gitconfig"): "[http]\n\tsslVerify = false\n[core]\n\taskPass = " + helper + "\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", home)
	t.Setenv("GIT_ASKPASS", helper)
	t.Setenv("SSH_ASKPASS", helper)
	r := newRepository(t, source.Options{URL: server.URL + "/fleet.git", Branch: "main", Timeout: 20 * time.Second})
	_, err := r.Check(t.Context())
	if !errors.Is(err, source.ErrUnreachable) || !strings.Contains(err.Error(), "Username") || !strings.Contains(err.Error(), "see token_file") {
		t.Errorf("got error %v, want ErrUnreachable for want of a user name", err)
	}
	if text, err := os.ReadFile(asked); err == nil {
		t.Errorf("git asked: %q", text)
	}
}

// TestGitIsNotLedAstray has variables in the environment that name another
// repository, as in a hook.
func TestGitIsNotLedAstray(t *testing.T) {
	origin := newRemoteOrigin(t)
	revision := origin.commit("flake.nix", "{ }")
	t.Setenv("GIT_DIR", "/nonexistent")
	t.Setenv("GIT_QUARANTINE_PATH", "/nonexistent")
	t.Setenv("GIT_OBJECT_DIRECTORY", "/nonexistent")
	r := newRepository(t, source.Options{URL: origin.dir, Branch: "main"})
	if got := check(t, r); got != revision {
		t.Errorf("newest revision: got %s, want %s", got, revision)
	}
	checkout(t, r, revision)
}
