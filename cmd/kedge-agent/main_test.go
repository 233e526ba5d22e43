package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/agent/cli"
	"kedge/internal/setup"
	"kedge/internal/usage"
)

// good is a configuration without problems.
const good = `
host: web1
nats: {servers: ["nats://build:4222"], credentials_file: /etc/kedge/creds}
trust:
  release_keys: ["release-1:BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
  controller_keys: ["controller-1:BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
  cache_keys: ["cache-1:BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
log: {level: warn}
`

func write(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCheckConfig(t *testing.T) {
	t.Setenv("KEDGE_SERVER", "nats://build:4222") // for kedge, on the same host
	t.Setenv("KEDGE_CREDS", "/root/operator.creds")
	for _, tt := range []struct {
		name, text string
		args       []string
		out, err   string
	}{
		{name: "a good one", text: good, out: "agent.yaml: ok\n"},
		{name: "a bad one", text: "hots: web1\n", err: "hots"},
		{name: "a machine, whichever it is", text: good + "machine_id: 0123456789abcdef0123456789abcdef\n", out: "agent.yaml: ok\n"},
		{name: "what is no machine's", text: good + "machine_id: box\n", err: "machine_id"},
		{name: "a bad flag", text: good, args: []string{"--log-level=loud"}, err: "log.level (from --log-level)"},
		{name: "a bad format of the log", text: good, args: []string{"--log-format=xml"}, err: "log.format"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			cmd := command(&out, &out)
			cmd.SetArgs(append(tt.args, "--check-config", "--config", write(t, tt.text)))
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

func TestEveryCommandTakesFlagsBeforeTheFile(t *testing.T) {
	file := write(t, good)
	for _, name := range [][]string{nil, {"run"}} {
		cmd, _, err := command(t.Output(), t.Output()).Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.ParseFlags([]string{"--metrics-listen=127.0.0.1:1", "--log-level=debug", "--log-format=json"}); err != nil {
			t.Fatal(err)
		}
		c, err := load(cmd, file)
		if err != nil {
			t.Fatal(err)
		}
		if c.Metrics.Listen != "127.0.0.1:1" || c.Log.Level != slog.LevelDebug || c.Log.Format != setup.LogJSON {
			t.Errorf("%s: %+v, %+v", cmd.Name(), c.Metrics, c.Log)
		}
	}
}

func TestPeopleOnTheHostHaveTheirCommands(t *testing.T) {
	root := command(t.Output(), t.Output())
	for _, name := range []string{"status", "history", "reconcile", "suspend", "resume", "inhibit", "lift", "logs", "run", "transact"} {
		if cmd, _, err := root.Find([]string{name}); err != nil || cmd == root {
			t.Errorf("%s: %v", name, err)
		}
	}
	for want, args := range map[int][]string{
		cli.ExitOK:    {"--help"},
		cli.ExitUsage: {"frobnicate"},
	} {
		root := command(t.Output(), t.Output())
		root.SetArgs(args)
		if got := cli.ExitCode(usage.Execute(t.Context(), root)); got != want {
			t.Errorf("%q: exit code %d, want %d", args, got, want)
		}
	}
}
