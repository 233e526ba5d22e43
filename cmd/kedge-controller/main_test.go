package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"kedge/internal/setup"
)

// good is a configuration without problems.
const good = `
sources: {main: {url: /srv/fleet.git}}
nats: {advertise: ["tls://build:4222"]}
cache: {urls: ["http://build:8080/cache"]}
log: {level: warn}
`

func TestCheckConfig(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		out, err   string
	}{
		{name: "a good one", text: good, out: "controller.yaml: ok\n"},
		{name: "a bad one", text: "sauce: {}\n", err: "sauce"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "controller.yaml")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			cmd := command(&out, &out)
			cmd.SetArgs([]string{"--check-config", "--config", file})
			err := cmd.ExecuteContext(t.Context())
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error = %v, want %q", err, tt.err)
			}
			if !strings.HasSuffix(out.String(), tt.out) {
				t.Errorf("output = %q, want %q", out.String(), tt.out)
			}
		})
	}
}

func TestNotifyTest(t *testing.T) {
	got := make(chan string, 4)
	chat := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.URL.Path }))
	t.Cleanup(chat.Close)
	file := filepath.Join(t.TempDir(), "controller.yaml")
	text := good + "notifications: {chat: {url: " + chat.URL + "/chat, format: slack}, phone: {url: " + chat.URL + "/phone, format: ntfy}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	run := func(args ...string) error {
		out.Reset()
		cmd := command(&out, t.Output())
		cmd.SetArgs(append([]string{"notify-test", "--config", file}, args...))
		return cmd.ExecuteContext(t.Context())
	}
	if err := run("phone"); err != nil || len(got) != 1 || <-got != "/phone" || out.String() != "phone: sent\n" {
		t.Errorf("one: %v; %q", err, out.String())
	}
	if err := run(); err != nil || len(got) != 2 || out.String() != "chat: sent\nphone: sent\n" {
		t.Errorf("all: %v, %d messages; %q", err, len(got), out.String())
	}
	if err := run("pager"); err == nil || !strings.Contains(err.Error(), `there is no destination "pager"`) {
		t.Errorf("nobody: %v", err)
	}
	chat.Close()
	if err := run("chat"); err == nil || out.Len() > 0 || !strings.Contains(err.Error(), "chat: send: ") {
		t.Errorf("who is gone: %v", err)
	}
}

func TestEveryCommandTakesFlagsBeforeTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "controller.yaml")
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range [][]string{nil, {"run"}, {"backup"}, {"restore"}} {
		cmd, _, err := command(t.Output(), t.Output()).Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.ParseFlags([]string{"--http-listen=127.0.0.1:1", "--log-level=debug", "--log-format=json"}); err != nil {
			t.Fatal(err)
		}
		c, err := load(cmd, file)
		if err != nil {
			t.Fatal(err)
		}
		if c.HTTP.Listen != "127.0.0.1:1" || c.Log.Level != slog.LevelDebug || c.Log.Format != setup.LogJSON {
			t.Errorf("%s: %+v, %+v", cmd.Name(), c.HTTP, c.Log)
		}
	}
}

func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	config := func(state string) string { return good + "state_dir: " + at(state) + "\n" }
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"old.yaml": config("old"), "new.yaml": config("new"), "backup.key": key.String() + "\n", "backup.pub": key.Recipient().String() + "\n",
	} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(at("old/keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("old/keys/controller"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := command(&out, &out)
		cmd.SetArgs(args)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	if _, err := run("--config", at("old.yaml"), "backup", at("backup")); err == nil || !strings.Contains(err.Error(), "passphrase-file") {
		t.Errorf("backup without a secret: %v", err)
	}
	if out, err := run("--config", at("old.yaml"), "backup", at("backup"), "--recipients-file", at("backup.pub")); err != nil || out != "" {
		t.Fatalf("backup: %q, %v", out, err)
	}
	out, err := run("--config", at("new.yaml"), "restore", at("backup"), "--identities-file", at("backup.key"))
	if err != nil || !strings.HasPrefix(out, "restored what ") {
		t.Errorf("restore: %q, %v", out, err)
	}
	if key, err := os.ReadFile(at("new/keys/controller")); err != nil || string(key) != "secret" {
		t.Errorf("key = %q, %v", key, err)
	}
	if _, err := run("--config", at("none.yaml"), "backup", at("backup"), "--recipients-file", at("backup.pub")); err == nil {
		t.Error("backup without a configuration succeeded")
	}
}
