package source_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kedge/controller/internal/source"
)

// gitServer serves the repositories below root over HTTPS, to whoever has the token
// that a file holds.
func gitServer(t *testing.T, root, token string) string {
	t.Helper()
	backend := strings.TrimSpace(newOrigin(t).git("--exec-path")) + "/git-http-backend"
	handler := &cgi.Handler{Path: backend, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*", "GIT_CONFIG_KEY_1=uploadpack.allowAnySHA1InWant", "GIT_CONFIG_VALUE_1=true"}}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want, err := os.ReadFile(token)
		if user, got, ok := r.BasicAuth(); !ok || err != nil || user != "robot" || got != strings.TrimSpace(string(want)) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	home := t.TempDir()
	writeFile(t, filepath.Join(home, ".gitconfig"), "[http]\n\tsslVerify = false\n")
	t.Setenv("HOME", home)
	return server.URL
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTokenFromAFile has a real git server ask for a token that changes in between.
func TestTokenFromAFile(t *testing.T) {
	origin := newOrigin(t)
	revision := origin.commit("flake.nix", "{ }")
	dir := t.TempDir()
	theirs, ours := filepath.Join(dir, "theirs"), filepath.Join(dir, "ours")
	writeFile(t, theirs, "s3cret-one\n")
	writeFile(t, ours, "s3cret-one\n")
	url := gitServer(t, filepath.Dir(origin.dir), theirs) + "/" + filepath.Base(origin.dir) + "/.git"
	r := newRepository(t, source.Options{URL: url, Branch: "main", Credentials: source.Credentials{TokenFile: ours, User: "robot"}})
	if got := check(t, r); got != revision {
		t.Errorf("newest revision: got %s, want %s", got, revision)
	}
	checkout(t, r, revision)

	writeFile(t, theirs, "s3cret-two\n")
	_, err := r.Check(t.Context())
	if !errors.Is(err, source.ErrUnreachable) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("with an old token: got error %v, want ErrUnreachable, without the token", err)
	}
	writeFile(t, ours, "s3cret-two\n")
	check(t, r)

	if err := os.Remove(ours); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Check(t.Context()); !errors.Is(err, source.ErrUnreachable) || !strings.Contains(err.Error(), "token_file: open "+ours) {
		t.Errorf("without the file: got error %v, want one that names it", err)
	}
	writeFile(t, ours, "s3cret\nsecond line\n")
	if _, err := r.Check(t.Context()); err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), ours) {
		t.Errorf("with two lines: got error %v, want one that names the file and nothing of it", err)
	}
}

// TestATokenThatOnlyReadsIsEnough: whoever has it reads as well, and no more.
func TestATokenThatOnlyReadsIsEnough(t *testing.T) {
	origin := newOrigin(t)
	revision := origin.commit("flake.nix", "{ }")
	token := filepath.Join(t.TempDir(), "token")
	writeFile(t, token, "s3cret-one\n")
	server := gitServer(t, filepath.Dir(origin.dir), token) // which takes no pushes
	at := "/" + filepath.Base(origin.dir) + "/.git"
	r := newRepository(t, source.Options{URL: server + at, Branch: "main", Credentials: source.Credentials{TokenFile: token, User: "robot"}})
	if got := check(t, r); got != revision {
		t.Errorf("newest revision: got %s, want %s", got, revision)
	}
	checkout(t, r, revision)

	thief := strings.Replace(server, "https://", "https://robot:s3cret-one@", 1) + at
	copied := filepath.Join(t.TempDir(), "copied")
	for what, want := range map[string]bool{"clone --quiet " + thief + " " + copied: true, "-C " + origin.dir + " push " + thief + " HEAD:refs/heads/other": false} {
		out, err := exec.CommandContext(t.Context(), "git", strings.Fields(what)...).CombinedOutput()
		if (err == nil) != want {
			t.Errorf("git %s: %v\n%s", what, err, out)
		}
	}
}

// TestSSHKeyFromAFile has an ssh that runs the command here, and says how it was
// called.
func TestSSHKeyFromAFile(t *testing.T) {
	origin := newOrigin(t)
	origin.commit("flake.nix", "{ }")
	dir := t.TempDir()
	calls, key, hosts := filepath.Join(dir, "calls"), filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts")
	writeFile(t, filepath.Join(dir, "ssh"), "#!/bin/sh\necho \"$@\" >>"+calls+"\nfor last; do :; done\nexec sh -c \"$last\"\n")
	if err := os.Chmod(filepath.Join(dir, "ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, key, "PRIVATE")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("GIT_SSH_COMMAND", "false")
	r := newRepository(t, source.Options{URL: "git@example.org:" + origin.dir, Branch: "main", Credentials: source.Credentials{SSHKeyFile: key, KnownHostsFile: hosts}})
	if _, err := r.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "known_hosts_file: open "+hosts) {
		t.Errorf("without a file: got error %v, want one that names it", err)
	}
	writeFile(t, hosts, "example.org ssh-ed25519 x\n")
	check(t, r)
	said, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-oBatchMode=yes", "-oIdentitiesOnly=yes", "-oIdentityFile=" + key, "-oStrictHostKeyChecking=yes", "-oUserKnownHostsFile=" + hosts} {
		if !strings.Contains(string(said), want) {
			t.Errorf("ssh was called with %q, want %s", said, want)
		}
	}
}

func TestCredentialsThatCannotBeMeant(t *testing.T) {
	for want, o := range map[string]source.Options{
		"ssh_key_file: must be an absolute path": {URL: "git@forge:x", Credentials: source.Credentials{SSHKeyFile: "key"}},
		"known_hosts_file: must be an absolute":  {URL: "git@forge:x", Credentials: source.Credentials{KnownHostsFile: "/a b; rm -rf /"}},
		"token_file: is for a repository at":     {URL: "git@forge:x", Credentials: source.Credentials{TokenFile: "/t"}},
		"ssh_key_file: is for a repository over": {URL: "https://forge/x", Credentials: source.Credentials{SSHKeyFile: "/k"}},
		"user: must be empty without token_file": {URL: "https://forge/x", Credentials: source.Credentials{User: "x"}},
		"user: must not hold a colon":            {URL: "https://forge/x", Credentials: source.Credentials{TokenFile: "/t", User: "a:b"}},
	} {
		o.Branch = "main"
		if problems := o.Problems(); len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), want) {
			t.Errorf("%+v: problems %v, want one, %q", o.Credentials, problems, want)
		}
	}
}

// TestATokenIsOnNoCommandLine, nor in a log: git says what it runs.
func TestATokenIsOnNoCommandLine(t *testing.T) {
	origin := newOrigin(t)
	revision := origin.commit("flake.nix", "{ }")
	dir, bin := t.TempDir(), t.TempDir()
	token, ran := filepath.Join(dir, "token"), filepath.Join(dir, "ran")
	writeFile(t, token, "s3cret-one\n")
	url := gitServer(t, filepath.Dir(origin.dir), token) + "/" + filepath.Base(origin.dir) + "/.git"
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(bin, "git"), "#!/bin/sh\necho \"$@\" >>"+ran+"\nGIT_TRACE="+ran+" exec "+git+" \"$@\"\n")
	if err := os.Chmod(filepath.Join(bin, "git"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	var log bytes.Buffer
	r := newRepository(t, source.Options{
		URL: url, Branch: "main", Credentials: source.Credentials{TokenFile: token, User: "robot"},
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if got := check(t, r); got != revision {
		t.Errorf("newest revision: got %s, want %s", got, revision)
	}
	checkout(t, r, revision)
	said, err := os.ReadFile(ran)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(said); !strings.Contains(text, "password=%s") || strings.Contains(text, "s3cret") {
		t.Errorf("git was run, and ran\n%s\nwant its helper, and no token", text)
	}
	if strings.Contains(log.String(), "s3cret") {
		t.Errorf("the log has the token: %s", log.String())
	}
}
