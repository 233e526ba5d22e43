package controller

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/setup"
	"kedge/proto"
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
sources: {main: {url: /srv/fleet.git, poll: 5m}}
nats: {advertise: ["tls://build.example:4222"]}
cache: {urls: ["https://build.example/cache/"]}
keys: {cache: ["cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="]}
`

func TestConfig(t *testing.T) {
	c, err := load(t, goodConfig)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Sources["main"]; s.Poll != 5*time.Minute || s.Branch != "main" || c.Build.Jobs != 3 || c.HTTP.Listen != "0.0.0.0:443" {
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
source: {url: /srv/fleet.git}
sources: {main: {branch: "", subdir: ../x, poll: 100ms, brnach: main, hosts: "tag:", force_push: maybe, ssh_key_file: key, signatures: {required: true}, webhook: {kind: hmac, secret_file: x}}, testing: {url: /srv/fleet.git, subdir: nix, file: default.nix, attribute: "a b", signatures: {gpg_keys_file: keys}}, edge: {url: /srv/fleet.git, file: ../default.nix, signatures: {gpg_fingerprints: [alice]}}, Main: {url: /srv/fleet.git}}
nats: {listen: "4222", credentials_file: /x, tls: {ca_file: x}, advertise: ["http://build", "nats://u:p@build:4222"], replicas: 9}
http: {listen: "build:8080", tls: maybe, certificate_file: cert.pem, metrics_from: [everywhere]}
cache: {urls: ["ftp://build"], from: ["ftp://ci"], retention: 30, keep_revisions: 0, upstream: ["ftp://up"], push: ["file:///x", {url: "ssh://store", token_file: t}, {command: [cachix], timeout: 3}, {url: "file:///x", timeout: 1s, credentials_file: /c}]}
build: {timeout: 1s, max_silent_time: 1s}
keys: {release: ["nonsense"], release_threshold: 2}
reboot: {max_concurrent: 0, lease_max_age: 30}
rollout: {own_host: Build_1}
enroll: {lifetime: 30}
ha: {enabled: true}
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
		"state_dir", "source", "sources.main.url", "sources.main.branch", "sources.main.subdir", "sources.main.poll", "sources.main.brnach", "sources.main.hosts", "sources.main.force_push", "sources.main.ssh_key_file", "sources.main.signatures.allowed_signers_file", "sources.testing.subdir", "sources.testing.attribute", "sources.edge.file", "sources.testing.signatures.required", "sources.testing.signatures.gpg_keys_file", "sources.testing.signatures.gpg_fingerprints", "sources.edge.signatures.gpg_fingerprints[0]", "sources.main.webhook.secret_file", "sources.main.webhook.header", "sources.Main", "nats.listen", "nats.credentials_file", "nats.tls",
		"nats.advertise[0]", "nats.advertise[1]", "http.listen", "http.tls", "http.certificate_file", "http.key_file", "http.metrics_from[0]", "cache.urls[0]", "cache.from[0]", "cache.retention", "cache.keep_revisions", "cache.upstream[0]", "cache.push[0]", "cache.push[1].url", "cache.push[1].token_file", "cache.push[1].token_variable", "cache.push[2].timeout", "cache.push[3].timeout", "cache.push[3].credentials_file", "cache.upstream", "build.timeout", "build.max_silent_time", "keys.release[0]", "log.format",
		"reboot.max_concurrent", "reboot.lease_max_age", "rollout.own_host", "enroll.lifetime", "ha.enabled", "nats.replicas",
	} {
		if !slices.Contains(keys, want) {
			t.Errorf("no problem is named for %s; there are %v", want, keys)
		}
	}
	if strings.Contains(err.Error(), "u:p") {
		t.Error("the error shows a password")
	}
}

// sourceAt returns a channel at a URL.
func sourceAt(url string) map[string]SourceConfig {
	c := SourceConfig{URL: url}
	c.SetDefaults()
	return map[string]SourceConfig{"main": c}
}

// TestConfigSaysWhatToWriteInsteadOfTheOldKey: whoever comes from the version that
// had one source is told how it is written now.
func TestConfigSaysWhatToWriteInsteadOfTheOldKey(t *testing.T) {
	_, err := load(t, strings.Replace(goodConfig, "sources: {main: {url: /srv/fleet.git, poll: 5m}}", "source: {url: /srv/fleet.git}", 1))
	if err == nil || !strings.Contains(err.Error(), "source: must be written as a channel of sources") || !strings.Contains(err.Error(), "sources: {main: {url:") {
		t.Errorf("error = %v, want one that says what to write", err)
	}
	t.Setenv("KEDGE_SOURCE_URL", "/srv/fleet.git")
	if _, err := load(t, goodConfig); err == nil || !strings.Contains(err.Error(), "KEDGE_SOURCE_URL: unset it: must be written as") {
		t.Errorf("error = %v, want one that says what to write instead of the variable", err)
	}
}

func TestConfigRefusesASourceThatGitIsNotGiven(t *testing.T) {
	c := DefaultConfig()
	c.NATS.Advertise, c.Cache.URLs = []string{"tls://build:4222"}, []string{"http://build:8080/cache"}
	for _, url := range []string{"http://forge/fleet.git", "ext::sh -c id", "https://token@forge/fleet.git", "fleet.git"} {
		c.Sources = sourceAt(url)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "sources.main.url: ") {
			t.Errorf("sources.main.url %q: error = %v, want one about it", url, err)
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
			c.Sources, c.Cache.URLs = sourceAt("/srv/fleet.git"), []string{"https://build/cache"}
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
	c.Sources, c.Cache.URLs = sourceAt("/srv/fleet.git"), []string{"http://build:8080/cache"}
	c.NATS = NATSConfig{URL: "tls://nats.example:4222", Replicas: 1}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.NATS.CredentialsFile = "/run/credentials/controller.creds"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.NATS.URL = "tls://n1.example:4222,tls://n2.example:4222"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"tls://n1.example:4222,", "tls://n1.example:4222,n2.example", "tls://n1.example:4222,wss://n2.example"} {
		c.NATS.URL = bad
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "nats.url: ") {
			t.Errorf("nats.url %q: error = %v, want one about it", bad, err)
		}
	}
}

func TestDefaultConfigLacksOnlyWhatNobodyCanGuess(t *testing.T) {
	err := DefaultConfig().Validate()
	var keys []string
	for line := range strings.Lines(err.Error()) {
		key, _, _ := strings.Cut(line, ":")
		keys = append(keys, key)
	}
	if diff := cmp.Diff([]string{"sources", "nats.advertise", "cache.urls"}, keys); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestConfigWantsTheKeysOfUpstreamCaches(t *testing.T) {
	nixos, err := proto.ParsePublicKey(nixosCacheKey)
	if err != nil {
		t.Fatal(err)
	}
	other, err := proto.ParsePublicKey("other-1:" + nixosCacheKey[len("cache.nixos.org-1:"):])
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		upstream []string
		keys     []proto.PublicKey
		problem  string
	}{
		"none":                  {nil, nil, ""},
		"no key":                {[]string{"https://up.example"}, nil, "cache.upstream: keys.cache must name"},
		"a key":                 {[]string{"https://up.example"}, []proto.PublicKey{other}, ""},
		"NixOS without its key": {[]string{"https://up.example", "https://cache.nixos.org/"}, []proto.PublicKey{other}, "cache.upstream[1]: keys.cache must name"},
		"NixOS":                 {[]string{"https://cache.nixos.org/"}, []proto.PublicKey{nixos}, ""},
	} {
		c := DefaultConfig()
		c.Sources, c.NATS.Advertise, c.Cache.URLs = sourceAt("/srv/fleet.git"), []string{"tls://build:4222"}, []string{"https://build/cache"}
		c.Cache.Upstream, c.Keys.Cache = tt.upstream, tt.keys
		err := c.Validate()
		if tt.problem == "" && err != nil || tt.problem != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.problem)) {
			t.Errorf("%s: error = %v, want %q", name, err, tt.problem)
		}
	}
}
