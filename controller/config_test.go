package controller

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/setup"
)

func load(t *testing.T, text string) (Config, error) {
	t.Helper()
	t.Setenv("KEDGE_BUILD_JOBS", "3")
	file := filepath.Join(t.TempDir(), "controller.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return setup.Load(setup.Source[Config]{File: file, EnvPrefix: "KEDGE", Default: DefaultConfig()})
}

const goodConfig = `
source: {url: /srv/fleet.git, poll: 5m}
nats: {advertise: ["tls://build.example:4222"]}
cache: {urls: ["https://build.example/cache/"]}
keys: {cache: ["cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="]}
`

func TestConfig(t *testing.T) {
	c, err := load(t, goodConfig)
	if err != nil {
		t.Fatal(err)
	}
	if c.Source.Poll != 5*time.Minute || c.Source.Branch != "main" || c.Build.Jobs != 3 || c.HTTP.Listen != "0.0.0.0:443" {
		t.Errorf("config = %+v", c)
	}
	if len(c.Keys.Cache) != 1 || c.Keys.Cache[0].Name() != "cache.nixos.org-1" {
		t.Errorf("keys = %v", c.Keys.Cache)
	}
}

// TestConfigNamesEveryProblem has a problem in every key that can have one.
func TestConfigNamesEveryProblem(t *testing.T) {
	_, err := load(t, `
state_dir: state
source: {branch: "", subdir: ../x, poll: 100ms, brnach: main}
nats: {listen: "4222", credentials_file: /x, tls: {ca_file: x}, advertise: ["http://build", "nats://u:p@build:4222"]}
http: {listen: "build:8080", tls: maybe, certificate_file: cert.pem, metrics_from: [everywhere]}
cache: {urls: ["ftp://build"], from: ["ftp://ci"]}
build: {timeout: 1s, max_silent_time: 1s}
keys: {release: ["nonsense"], release_threshold: 2}
reboot: {max_concurrent: 0, lease_max_age: 30}
enroll: {lifetime: 30}
log: {format: xml}
`)
	var all *setup.ConfigError
	if !errors.As(err, &all) {
		t.Fatalf("error = %v, want a *setup.ConfigError", err)
	}
	var keys []string
	for _, p := range all.Problems {
		key, _, _ := strings.Cut(p.Error(), ":")
		keys = append(keys, key)
	}
	for _, want := range []string{
		"state_dir", "source.url", "source.branch", "source.subdir", "source.poll", "source.brnach", "nats.listen", "nats.credentials_file", "nats.tls",
		"nats.advertise[0]", "nats.advertise[1]", "http.listen", "http.tls", "http.certificate_file", "http.key_file", "http.metrics_from", "cache.urls[0]", "build.timeout", "build.max_silent_time", "keys.release", "log.format",
		"reboot.max_concurrent", "reboot.lease_max_age", "enroll.lifetime",
	} {
		if !strings.Contains(strings.Join(keys, " "), want) {
			t.Errorf("no problem is named for %s; there are %v", want, keys)
		}
	}
	if strings.Contains(err.Error(), "u:p") {
		t.Error("the error shows a password")
	}
}

func TestConfigRefusesASourceThatGitIsNotGiven(t *testing.T) {
	c := DefaultConfig()
	c.NATS.Advertise, c.Cache.URLs = []string{"tls://build:4222"}, []string{"http://build:8080/cache"}
	for _, url := range []string{"http://forge/fleet.git", "ext::sh -c id", "https://token@forge/fleet.git", "fleet.git"} {
		c.Source.URL = url
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "source.url: ") {
			t.Errorf("source.url %q: error = %v, want one about source.url", url, err)
		}
	}
}

func TestConfigRefusesToAdvertiseWhatTheEmbeddedServerDoesNotSpeak(t *testing.T) {
	for name, tt := range map[string]struct {
		tls       TLSMode
		advertise []string
		problem   string
	}{
		"no TLS where it is wanted":           {TLSOn, []string{"tls://build:4222", "nats://build:4222"}, "nats.advertise[1]: must begin with tls:// or wss://"},
		"a WebSocket without TLS":             {TLSOn, []string{"ws://build/nats"}, "nats.advertise[0]: must begin with tls:// or wss://"},
		"what the client cannot mix":          {TLSOn, []string{"wss://build/nats", "tls://build:4222"}, "nats.advertise: ws:// and wss:// cannot be mixed"},
		"one port":                            {TLSOn, []string{"wss://build/nats"}, ""},
		"no TLS":                              {TLSOff, []string{"nats://build:4222"}, ""},
		"a proxy of one's own that makes TLS": {TLSOff, []string{"wss://build/nats"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			c.Source.URL, c.Cache.URLs = "/srv/fleet.git", []string{"https://build/cache"}
			c.HTTP.TLS, c.NATS.Advertise = tt.tls, tt.advertise
			err := c.Validate()
			if tt.problem == "" && err != nil || tt.problem != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.problem)) {
				t.Errorf("nats.advertise %v: error = %v, want %q", tt.advertise, err, tt.problem)
			}
		})
	}
}

func TestConfigOfAnExternalNATS(t *testing.T) {
	c := DefaultConfig()
	c.Source.URL, c.Cache.URLs = "/srv/fleet.git", []string{"http://build:8080/cache"}
	c.NATS = NATSConfig{URL: "tls://nats.example:4222"}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.NATS.CredentialsFile = "/run/credentials/controller.creds"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestDefaultConfigLacksOnlyWhatNobodyCanGuess(t *testing.T) {
	err := DefaultConfig().Validate()
	var keys []string
	for line := range strings.Lines(err.Error()) {
		key, _, _ := strings.Cut(line, ":")
		keys = append(keys, key)
	}
	if diff := cmp.Diff([]string{"source.url", "nats.advertise", "cache.urls"}, keys); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
