package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"kedge/proto"
)

type testConfig struct {
	Host   proto.HostName `config:"host"`
	NATS   natsConfig     `config:"nats"`
	Checks []checkConfig  `config:"checks"`
	Log    LogConfig      `config:"log"`
	Ratio  float64        `config:"ratio"`
	Tries  uint8          `config:"tries"`
	Adopt  bool           `config:"adopt"`
	Strict *bool          `config:"strict"`
	Grace  time.Duration  `config:"grace_period"`
	secret string         //nolint:unused // stands for a field that is not configured
}

// namedConfig has sections that their author names, and had another key once.
type namedConfig struct {
	Peers map[string]peerConfig `config:"peers"`
}

type peerConfig struct {
	URL  string        `config:"url"`
	Wait time.Duration `config:"wait"`
}

func (p *peerConfig) SetDefaults() { p.Wait = time.Minute }

func (namedConfig) Validate() error { return nil }
func (namedConfig) Retired() map[string]string {
	return map[string]string{"peer": "must be one of peers"}
}

type natsConfig struct {
	Servers []string `config:"servers"`
	Creds   string   `config:"credentials_file"`
	Port    int      `config:"port"`
}

type checkConfig struct {
	Name    string        `config:"name"`
	Timeout time.Duration `config:"timeout"`
}

func (c testConfig) Validate() error {
	var errs []error
	if c.Grace < time.Second {
		errs = append(errs, fmt.Errorf("grace_period: must be at least 1s, got %v", c.Grace))
	}
	if len(c.NATS.Servers) == 0 {
		errs = append(errs, errors.New("nats.servers: must have at least one server"))
	}
	return errors.Join(errors.Join(errs...), c.Log.Validate("log"))
}

func defaults() testConfig {
	return testConfig{
		NATS:   natsConfig{Servers: []string{"nats://a", "nats://b"}, Port: 4222},
		Checks: []checkConfig{{"default", time.Second}},
		Grace:  10 * time.Second,
	}
}

const fullYAML = `
host: web1
nats:
  servers: [nats://c]
  credentials_file: /run/creds
  port: 4223
checks:
  - name: nginx.service
    timeout: 5s
  - name: Upper
log: {level: debug, format: json}
ratio: 1
tries: 3
adopt: true
strict: false
grace_period: 1m30s
`

const fullTOML = `
host = "web1"
ratio = 1.0
tries = 3
adopt = true
strict = false
grace_period = "1m30s"
[nats]
servers = ["nats://c"]
credentials_file = "/run/creds"
port = 4223
[[checks]]
name = "nginx.service"
timeout = "5s"
[[checks]]
name = "Upper"
[log]
level = "debug"
format = "json"
`

const fullJSON = `{
"host": "web1", "ratio": 1, "tries": 3, "adopt": true, "strict": false, "grace_period": "1m30s",
"nats": {"servers": ["nats://c"], "credentials_file": "/run/creds", "port": 4223},
"checks": [{"name": "nginx.service", "timeout": "5s"}, {"name": "Upper"}],
"log": {"level": "debug", "format": "json"}
}`

func full(t *testing.T) testConfig {
	t.Helper()
	host, err := proto.ParseHostName("web1")
	if err != nil {
		t.Fatal(err)
	}
	return testConfig{
		Host:   host,
		NATS:   natsConfig{Servers: []string{"nats://c"}, Creds: "/run/creds", Port: 4223},
		Checks: []checkConfig{{"nginx.service", 5 * time.Second}, {Name: "Upper"}},
		Log:    LogConfig{Level: slog.LevelDebug, Format: LogJSON},
		Ratio:  1,
		Tries:  3,
		Adopt:  true,
		Strict: new(bool),
		Grace:  90 * time.Second,
	}
}

func TestLoadReadsEveryFormatAlike(t *testing.T) {
	for name, text := range map[string]string{"c.yaml": fullYAML, "c.yml": fullYAML, "c.toml": fullTOML, "c.json": fullJSON} {
		t.Run(name, func(t *testing.T) {
			def := defaults()
			got, err := Load(Source[testConfig]{File: write(t, name, text), Default: def})
			if err != nil {
				t.Fatal(err)
			}
			wantConfig(t, got, full(t))
			wantConfig(t, def, defaults())
		})
	}
}

func TestLoadKeepsDefaultsForWhatIsNotSet(t *testing.T) {
	for name, text := range map[string]string{
		"no file":           "",
		"an empty file":     "\n",
		"a comment":         "# nothing\n",
		"keys with nothing": "nats:\n  port:\nchecks:\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := Source[testConfig]{Default: defaults()}
			if text != "" {
				s.File = write(t, "c.yaml", text)
			}
			got, err := Load(s)
			if err != nil {
				t.Fatal(err)
			}
			wantConfig(t, got, defaults())
		})
	}
}

func TestLoadTellsEveryProblemAtOnce(t *testing.T) {
	tests := []struct {
		name string
		yaml string
		want []string
	}{
		{
			"unknown keys, also nested, listed, or written otherwise",
			"nats: {server: a}\nchecks: [{name: a, unit: b}]\nGrace_period: 5s\nempty: {}\nnothing:\n",
			[]string{
				"Grace_period: unknown key; known here: adopt, checks, grace_period, host, log, nats, ratio, strict, tries",
				"checks[0].unit: unknown key; known here: name, timeout",
				"empty: unknown key; known here: adopt, checks, grace_period, host, log, nats, ratio, strict, tries",
				"nats.server: unknown key; known here: credentials_file, port, servers",
				"nothing: unknown key; known here: adopt, checks, grace_period, host, log, nats, ratio, strict, tries",
			},
		},
		{
			"durations without a unit",
			"grace_period: 30\nchecks: [{name: a, timeout: '30'}]\n",
			[]string{
				`checks[0].timeout: must be a duration with its unit, such as "30s", got "30"`,
				`grace_period: must be a duration with its unit, such as "30s", got 30`,
			},
		},
		{
			"values of another type",
			"nats: {servers: nats://a, port: '4222', credentials_file: 5}\nratio: much\nadopt: yes please\nstrict: 1\nhost: [a]\nchecks: {name: a}\n",
			[]string{
				"adopt: must be true or false, got \"yes please\"",
				"checks: must be a list, got a section",
				"host: must be text, got a list",
				"nats.credentials_file: must be text, got 5",
				`nats.port: must be a whole number of at most 64 bits, got "4222"`,
				`nats.servers: must be a list, got "nats://a"`,
				`ratio: must be a number, got "much"`,
				"strict: must be true or false, got 1",
			},
		},
		{
			"numbers that do not fit",
			"tries: 256\nnats: {port: 1.5, servers: [a, null]}\n",
			[]string{
				"nats.port: must be a whole number of at most 64 bits, got 1.5",
				"nats.servers[1]: must not be empty",
				"tries: must be a whole number from 0 to 255, got 256",
			},
		},
		{
			"negative numbers",
			"tries: -1\n",
			[]string{"tries: must be a whole number from 0 to 255, got -1"},
		},
		{
			"a section that is none",
			"nats: here\n",
			[]string{`nats: must be a section, got "here"`},
		},
		{
			"what validation finds, beside the rest",
			"grace_period: 1ms\nnats: {servers: []}\nlog: {format: xml}\nx: 1\n",
			[]string{
				"x: unknown key; known here: adopt, checks, grace_period, host, log, nats, ratio, strict, tries",
				"grace_period: must be at least 1s, got 1ms",
				"nats.servers: must have at least one server",
				`log.format: must be auto, text or json, got "xml"`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, "c.yaml", tt.yaml)
			got, err := Load(Source[testConfig]{File: file, Default: defaults()})
			wantProblems(t, err, tt.want)
			if !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error: got %q, want one line that names %s", err, file)
			}
			wantConfig(t, got, testConfig{})
		})
	}
}

func TestLoadReadsNamedSections(t *testing.T) {
	for name, text := range map[string]string{
		"c.yaml": "peers:\n  a: {url: x}\n  b-2: {wait: 5s}\n",
		"c.toml": "[peers.a]\nurl = \"x\"\n[peers.b-2]\nwait = \"5s\"\n",
		"c.json": `{"peers": {"a": {"url": "x"}, "b-2": {"wait": "5s"}}}`,
	} {
		got, err := Load(Source[namedConfig]{File: write(t, name, text)})
		want := namedConfig{Peers: map[string]peerConfig{"a": {URL: "x", Wait: time.Minute}, "b-2": {Wait: 5 * time.Second}}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	t.Setenv("KTEST_PEER_URL", "x")
	_, err := Load(Source[namedConfig]{File: write(t, "c.yaml", "peer: {url: x}\npeers: {a: {ulr: x}, b: 3}\n"), EnvPrefix: "KTEST"})
	wantProblems(t, err, []string{
		"peer: must be one of peers",
		"peers.a.ulr: unknown key; known here: url, wait",
		"peers.b: must be a section, got 3",
		"KTEST_PEER_URL: unset it: must be one of peers",
	})
	_, err = Load(Source[namedConfig]{File: write(t, "d.yaml", "peers: [a]\n")})
	wantProblems(t, err, []string{"peers: must be a section of named sections, got a list"})
}

func TestLoadNamesTheParsersOfTypes(t *testing.T) {
	_, err := Load(Source[testConfig]{File: write(t, "c.yaml", "host: web.1\nlog: {level: loud}\n"), Default: defaults()})
	var ce *ConfigError
	if !errors.As(err, &ce) || len(ce.Problems) != 2 {
		t.Fatalf("got %v", err)
	}
	for i, want := range []string{"host: ", "log.level: "} {
		if got := ce.Problems[i].Error(); !strings.HasPrefix(got, want) {
			t.Errorf("problem %d: got %q, want prefix %q", i, got, want)
		}
	}
}

func TestLoadRefusesFilesThatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(Source[testConfig]{File: filepath.Join(dir, "none.yaml")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: got %v, want %v", err, fs.ErrNotExist)
	}
	if _, err := Load(Source[testConfig]{File: write(t, "c.conf", "")}); err == nil || !strings.Contains(err.Error(), ".yaml") {
		t.Errorf("other suffix: got %v", err)
	}
	for name, text := range map[string]string{
		"c.yaml": "a: [",
		"d.yaml": "- a\n",
		"e.yaml": "host: a\nhost: b\n",
		"c.json": "{",
		"c.toml": "a = = b\n",
	} {
		_, err := Load(Source[testConfig]{File: write(t, name, text), Default: defaults()})
		var ce *ConfigError
		if !errors.As(err, &ce) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %q: got %v", name, text, err)
		}
	}
}

func TestLoadTakesFlagsBeforeEnvironmentBeforeFile(t *testing.T) {
	t.Setenv("KTEST_NATS_PORT", "2")
	t.Setenv("KTEST_NATS_CREDENTIALS_FILE", "")
	t.Setenv("KTEST_NATS_SERVERS", "nats://x, nats://y")
	t.Setenv("KTEST_GRACE_PERIOD", "2s")
	t.Setenv("KTEST_STRICT", "true")
	t.Setenv("KTEST_LOG_LEVEL", "warn")
	t.Setenv("KTEST_CONFIG", "elsewhere")
	t.Setenv("KTESTER", "other")
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.Int("nats-port", 9, "")
	flags.Duration("grace-period", time.Hour, "")
	flags.Bool("adopt", false, "")
	flags.Float64("ratio", 7, "")
	flags.StringSlice("nats-servers", nil, "")
	flags.String("config", "", "")
	if err := flags.Parse([]string{"--nats-port=3", "--adopt", "--nats-servers=nats://f,nats://g", "--config=c"}); err != nil {
		t.Fatal(err)
	}
	text := "nats: {port: 1, credentials_file: /creds, servers: [nats://file]}\ngrace_period: 1s\nratio: 0.5\n"
	got, err := Load(Source[testConfig]{
		File:      write(t, "c.yaml", text),
		EnvPrefix: "KTEST",
		EnvIgnore: []string{"KTEST_CONFIG"},
		Flags:     flags,
		Default:   defaults(),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.NATS = natsConfig{Servers: []string{"nats://f", "nats://g"}, Port: 3}
	want.Grace, want.Ratio, want.Adopt = 2*time.Second, 0.5, true
	want.Strict, want.Log.Level = new(true), slog.LevelWarn
	wantConfig(t, got, want)
}

func TestLoadRefusesBadVariablesAndFlags(t *testing.T) {
	t.Setenv("KTEST_NATS_PORT", "many")
	t.Setenv("KTEST_TRIES", "300")
	t.Setenv("KTEST_GRACE_PERIOD", "30")
	t.Setenv("KTEST_ADOPT", "perhaps")
	t.Setenv("KTEST_RATIO", "half")
	t.Setenv("KTEST_CHECKS", "a")
	t.Setenv("KTEST_NATS_SERVER", "a")
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.String("log-level", "", "")
	if err := flags.Parse([]string{"--log-level=loud"}); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Source[testConfig]{EnvPrefix: "KTEST", Flags: flags, Default: defaults()})
	wantProblems(t, err, []string{
		`nats.port (from KTEST_NATS_PORT): must be a whole number of at most 64 bits, got "many"`,
		`log.level (from --log-level): slog: level string "loud": unknown name`,
		`ratio (from KTEST_RATIO): must be a number, got "half"`,
		`tries (from KTEST_TRIES): must be a whole number from 0 to 255, got "300"`,
		`adopt (from KTEST_ADOPT): must be true or false, got "perhaps"`,
		`grace_period (from KTEST_GRACE_PERIOD): must be a duration with its unit, such as "30s", got "30"`,
		"KTEST_CHECKS: unknown variable; unset it, or correct its name",
		"KTEST_NATS_SERVER: unknown variable; unset it, or correct its name",
	})
}

func TestDecodeKnownPassesOverUnknownKeysOnly(t *testing.T) {
	text := "nats: {port: 1, later: {a: b}}\nchecks: [{name: a, kind: dns}]\nfuture: [1]\n"
	got, err := DecodeKnown(write(t, "c.yaml", text), defaults())
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.NATS.Port, want.Checks = 1, []checkConfig{{Name: "a"}}
	wantConfig(t, got, want)

	_, err = DecodeKnown(write(t, "c.yaml", "future: 1\ngrace_period: 5\n"), defaults())
	wantProblems(t, err, []string{`grace_period: must be a duration with its unit, such as "30s", got 5`})
}

type badKey struct {
	A string `config:"Not-a-key"`
}

type badMap struct {
	A []struct {
		M map[string]string `config:"m"`
	} `config:"a"`
}

type badField struct {
	a string `config:"a"` //nolint:unused // the point of the test
}

func (badKey) Validate() error   { return nil }
func (badMap) Validate() error   { return nil }
func (badField) Validate() error { return nil }

func TestLoadRefusesTypesThatCannotBeConfigured(t *testing.T) {
	_, key := Load(Source[badKey]{})
	_, mapErr := Load(Source[badMap]{})
	_, fieldErr := Load(Source[badField]{})
	for name, err := range map[string]error{"key": key, "map": mapErr, "unexported field": fieldErr} {
		if err == nil || !strings.HasPrefix(err.Error(), "configuration type setup.bad") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func wantConfig(t *testing.T, got, want testConfig) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(proto.HostName{}), cmpopts.IgnoreUnexported(testConfig{})); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func wantProblems(t *testing.T, err error, want []string) {
	t.Helper()
	var ce *ConfigError
	if !errors.As(err, &ce) {
		t.Fatalf("got %T %v, want a ConfigError", err, err)
	}
	var got []string
	for _, p := range ce.Problems {
		got = append(got, p.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
