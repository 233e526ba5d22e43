package controller

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kedge/internal/setup"
	"kedge/proto"
	"kedge/proto/bus"
	"kedge/proto/outbound"
)

// Bounds of durations: they catch a number without its unit, which would be
// nanoseconds, and one with the wrong unit.
const (
	minPoll, maxPoll       = time.Second, 24 * time.Hour
	minTimeout, maxTimeout = 10 * time.Second, 24 * time.Hour
)

// A Config is everything that an operator can say about a controller.
type Config struct {
	// StateDir is where everything durable lives: keys, what was last signed
	// for every host, the embedded NATS server's store, the binary cache.
	StateDir string `config:"state_dir"`
	// Sources are the channels that hosts follow, by name.
	Sources map[string]SourceConfig `config:"sources"`
	NATS    NATSConfig              `config:"nats"`
	HTTP    HTTPConfig              `config:"http"`
	Cache   CacheConfig             `config:"cache"`
	Build   BuildConfig             `config:"build"`
	Keys    KeysConfig              `config:"keys"`
	Reboot  RebootConfig            `config:"reboot"`
	Rollout RolloutConfig           `config:"rollout"`
	Enroll  EnrollConfig            `config:"enroll"`
	Metrics MetricsConfig           `config:"metrics"`
	// Notifications are where somebody is told what the fleet has come to, by name.
	Notifications map[string]NotificationConfig `config:"notifications"`
	HA            HAConfig                      `config:"ha"`
	Log           setup.LogConfig               `config:"log"`
}

// A NATSConfig says where NATS is: in this process, unless URL is given.
type NATSConfig struct {
	Listen    string   `config:"listen"`    // of the embedded server; empty for none: hosts come by wss://…/nats
	Advertise []string `config:"advertise"` // URLs under which hosts reach it, for their configuration
	// URL is that of an external server instead, or those of a cluster's with commas
	// between, each of which was given what kedge nats config prints. CredentialsFile is
	// only for one with accounts that others made: then they make hosts' and operators'
	// credentials, too.
	URL             string `config:"url"`
	CredentialsFile string `config:"credentials_file"`
	// TLS says whom to trust to be that server.
	TLS NATSTLSConfig `config:"tls"`
	// Replicas is how many servers of a cluster keep each stream and bucket that is made.
	Replicas int `config:"replicas"`
}

// servers returns the URLs of the external servers.
func (c NATSConfig) servers() []string { return strings.Split(c.URL, ",") }

// A NATSTLSConfig says whom to trust to be an external NATS server: the authorities
// in a file, or keys. Empty for the system's roots.
type NATSTLSConfig struct {
	CAFile string      `config:"ca_file"` // in PEM; read at each connection
	Pins   []proto.Pin `config:"pins"`
}

func (c NATSTLSConfig) outbound() outbound.Options {
	return outbound.Options{CAFile: c.CAFile, Pins: c.Pins}
}

// A KeysConfig says which keys the controller has, which are made on its first
// start, in the state directory, and whose count beside them; see docs/keys.md.
type KeysConfig struct {
	// Release are the keys of others, such as CI, whose releases may be
	// assigned, as "name:base64".
	Release []proto.PublicKey `config:"release"`
	// ReleaseThreshold is how many release keys must have signed a release.
	ReleaseThreshold int `config:"release_threshold"`
	// SignReleases is whether the controller holds a release key, and signs what it
	// builds. Without one it builds nothing: it publishes what others signed.
	SignReleases bool `config:"sign_releases"`
	// Spare are controller keys whose secret halves are kept elsewhere, for the
	// day that the controller's own are lost or stolen, as "name:base64".
	Spare []proto.PublicKey `config:"spare"`
	// Cache are the keys of others whose store paths hosts trust, such as
	// cache.nixos.org-1:…, as "name:base64".
	Cache []proto.PublicKey `config:"cache"`
}

// DefaultConfig returns what holds where nothing else is said.
func DefaultConfig() Config {
	return Config{
		StateDir: "/var/lib/kedge-controller",
		NATS:     NATSConfig{Listen: "0.0.0.0:4222", Replicas: 1},
		HTTP:     defaultHTTP(),
		Cache:    defaultCache(),
		Build:    defaultBuild(),
		Keys:     KeysConfig{ReleaseThreshold: 1, SignReleases: true},
		Reboot:   RebootConfig{MaxConcurrent: 1},
		Enroll:   defaultEnroll(),
		Metrics:  MetricsConfig{Hosts: hostSeries},
	}
}

// Validate reports everything that is wrong with c at once: an error for each
// key, joined.
func (c Config) Validate() error {
	return errors.Join(slices.Concat(
		[]error{absolute("state_dir", c.StateDir), c.Log.Validate("log")},
		c.sourceProblems(), c.NATS.problems(c.HTTP.TLS), c.HTTP.problems(), c.Cache.problems(), c.upstreamProblems(), c.Build.problems(),
		c.Keys.problems(), c.Reboot.problems(), c.Rollout.problems(), c.Enroll.problems(), c.haProblems(), c.Metrics.problems(), c.notificationProblems(),
	)...)
}

func (c NATSConfig) problems(tls TLSMode) []error {
	if c.URL != "" {
		problems := []error{bus.CheckServers("nats.url", c.servers())}
		for _, u := range c.servers() {
			problems = append(problems, natsURL("nats.url", u))
		}
		if c.TLS.CAFile != "" {
			problems = append(problems, absolute("nats.tls.ca_file", c.TLS.CAFile))
		}
		return problems
	}
	var problems []error
	if c.TLS.outbound().Trusts() {
		problems = append(problems, errors.New("nats.tls: must be empty without nats.url; http.certificate_file is for the embedded server"))
	}
	if c.Listen != "" {
		problems = append(problems, address("nats.listen", c.Listen))
	}
	if c.CredentialsFile != "" {
		problems = append(problems, errors.New("nats.credentials_file: must be empty without nats.url; the embedded server makes its own"))
	}
	if len(c.Advertise) == 0 {
		problems = append(problems, errors.New(`nats.advertise: must name at least one URL under which hosts reach the server, such as "wss://build.example/nats"`))
	}
	for i, u := range c.Advertise {
		problems = append(problems, embeddedURL(fmt.Sprintf("nats.advertise[%d]", i), u, tls))
	}
	return append(problems, bus.CheckServers("nats.advertise", c.Advertise))
}

func absolute(key, path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s: must be an absolute path, got %q", key, path)
	}
	return nil
}

func between(key string, d, low, high time.Duration) error {
	if d < low || d > high {
		return fmt.Errorf("%s: must be between %s and %s, got %s", key, low, high, d)
	}
	return nil
}

func address(key, value string) error {
	host, port, err := net.SplitHostPort(value)
	if err != nil || port == "" {
		return fmt.Errorf(`%s: must be an address and a port, such as "0.0.0.0:4222", got %q`, key, value)
	}
	if host != "" && net.ParseIP(host) == nil {
		return fmt.Errorf("%s: must name an IP address, or none for all, got %q", key, value)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("%s: must name a port, got %q", key, value)
	}
	return nil
}

// embeddedURL is natsURL for the server in this process. Where it speaks TLS hosts
// are to insist on it.
func embeddedURL(key, value string, tls TLSMode) error {
	if err := natsURL(key, value); err != nil {
		return err
	}
	scheme, _, _ := strings.Cut(strings.ToLower(value), "://")
	if tls == TLSOn && (scheme == "nats" || scheme == "ws") {
		return fmt.Errorf("%s: must begin with tls:// or wss://, got %q: the server wants TLS (http.tls)", key, value)
	}
	return nil
}

func natsURL(key, value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
		return fmt.Errorf(`%s: must be a NATS URL, such as "tls://build.example:4222", got %q`, key, value)
	}
	if u.User != nil {
		return fmt.Errorf("%s: must not hold credentials", key)
	}
	return nil
}
