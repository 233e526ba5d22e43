package agent

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/internal/setup"
	"kedge/proto"
	"kedge/proto/bus"
)

// Config is the agent's configuration, as its file has it. Start from
// [DefaultConfig]; the zero value is not valid.
type Config struct {
	// Host is this host's name in the fleet.
	Host proto.HostName `config:"host"`
	// StateDir keeps what must survive a reboot, RuntimeDir what must not.
	StateDir   string `config:"state_dir"`
	RuntimeDir string `config:"runtime_dir"`

	// MachineGuard keeps a machine with a copy of another's state, or credentials,
	// from acting as it. Off for machines whose machine ID does not outlive a boot.
	MachineGuard bool `config:"machine_guard"`
	// MachineID is the machine ID of the one machine that this is for; empty for any.
	MachineID string `config:"machine_id"`

	NATS        NATSConfig        `config:"nats"`
	Proxy       ProxyConfig       `config:"proxy"`
	Trust       TrustConfig       `config:"trust"`
	Caches      []string          `config:"caches"` // binary caches, tried after those of the assignment
	Fetch       FetchConfig       `config:"fetch"`
	Activation  ActivationConfig  `config:"activation"`
	Policy      PolicyConfig      `config:"policy"`
	Reboot      RebootConfig      `config:"reboot"`
	Probation   ProbationConfig   `config:"probation"`
	Hooks       HooksConfig       `config:"hooks"`
	Control     ControlConfig     `config:"control"`
	Inhibit     InhibitConfig     `config:"inhibit"`
	Metrics     MetricsConfig     `config:"metrics"`
	Log         setup.LogConfig   `config:"log"`
	Generations GenerationsConfig `config:"generations"`
	GC          GCConfig          `config:"gc"`
	Drift       DriftConfig       `config:"drift"`
}

// NATSConfig says how the one outbound connection is made.
type NATSConfig struct {
	Servers         []string  `config:"servers"`          // nats:// and tls://, or ws:// and wss:// URLs
	CredentialsFile string    `config:"credentials_file"` // of this host; read at each connection
	TLS             TLSConfig `config:"tls"`
	// RenewURLs are those of the controller's enrolment, for a host that was off for
	// so long that its credentials have expired.
	RenewURLs []string `config:"renew_urls"`
	// MaxReconnectDelay bounds the random wait between two tries to connect.
	MaxReconnectDelay time.Duration `config:"max_reconnect_delay"`
}

// TrustConfig names the keys that this host believes. It is the only place
// that does.
type TrustConfig struct {
	ReleaseKeys      []proto.PublicKey `config:"release_keys"`
	ReleaseThreshold int               `config:"release_threshold"` // signatures that a release needs
	ControllerKeys   []proto.PublicKey `config:"controller_keys"`
	CacheKeys        []proto.PublicKey `config:"cache_keys"` // of store paths, as Nix' trusted-public-keys
}

// FetchConfig bounds what fetching a closure takes.
type FetchConfig struct {
	// Reserve is how many bytes have to stay free in the store.
	Reserve uint64 `config:"reserve"`
	// Timeout is how long one cache may take, before the next one is asked for what
	// is still missing; on top of what MaxRate alone makes of it.
	Timeout time.Duration `config:"timeout"`
	// NetrcFile has the logins to private caches, as Nix' netrc-file; empty for none.
	NetrcFile string `config:"netrc_file"`
	// MaxRate is how many bytes a second may be read from caches, all in all; 0 for as
	// many as come.
	MaxRate uint64 `config:"max_rate"`
}

// minRate is the least that a host may fetch at: below it caches that are read side by side seem to stand still.
const minRate = 16 << 10

// defaultFetchTimeout is enough for the largest paths of a system, of half a
// gigabyte, over a line of a megabit per second.
const defaultFetchTimeout = 2 * time.Hour

// defaultReserve is for what a deployment writes besides its closure: Nix's
// database, the journal, the record. More would keep small hosts, with a disk of
// a few hundred MiB, from what fits.
const defaultReserve = 64 << 20

// ActivationConfig says what is activated, and bounds switch-to-configuration.
type ActivationConfig struct {
	Timeout time.Duration `config:"timeout"`
	// Specialisation is the name of the one of its system that the host runs in;
	// empty for none. It is the new system's own configuration that counts.
	Specialisation string `config:"specialisation"`
}

// ProbationConfig says how a system is judged after its activation. It is the
// new system's own configuration that counts.
type ProbationConfig struct {
	Grace       time.Duration `config:"grace"`
	Deadline    time.Duration `config:"deadline"`
	IgnoreUnits []string      `config:"ignore_units"` // name patterns, such as "podman-*.service"
	Checks      []CheckConfig `config:"checks"`
}

// ControlConfig says who on the host may ask the agent.
type ControlConfig struct {
	// StatusGroup may read status and history; empty for root alone.
	StatusGroup string `config:"status_group"`
}

// InhibitConfig bounds what somebody on the host may hold back.
type InhibitConfig struct {
	// Logind is what those hold back who hold a lock of logind against a shutdown,
	// such as by systemd-inhibit; Users what those do who are logged in.
	Logind InhibitWhen `config:"logind"`
	Users  InhibitWhen `config:"users"`
	// Max is how long after it was fetched a deployment may be held back.
	Max time.Duration `config:"max"`
}

// InhibitWhen says what somebody holds back.
type InhibitWhen string

// What somebody may hold back.
const (
	InhibitNever  InhibitWhen = "never"  // nothing
	InhibitReboot InhibitWhen = "reboot" // reboots
	InhibitAlways InhibitWhen = "always" // reboots, and the activation of what was fetched
)

func (w InhibitWhen) validate(p *problems, key string) {
	p.check(slices.Contains([]InhibitWhen{InhibitNever, InhibitReboot, InhibitAlways}, w),
		"%s: must be %s, %s or %s, got %q", key, InhibitNever, InhibitReboot, InhibitAlways, w)
}

// DefaultConfig returns the configuration that a file changes.
func DefaultConfig() Config {
	return Config{
		StateDir:   "/var/lib/kedge",
		RuntimeDir: "/run/kedge",

		MachineGuard: true,

		NATS:       NATSConfig{MaxReconnectDelay: 2 * time.Minute},
		Trust:      TrustConfig{ReleaseThreshold: 1},
		Fetch:      FetchConfig{Reserve: defaultReserve, Timeout: defaultFetchTimeout, NetrcFile: "/etc/nix/netrc"},
		Activation: ActivationConfig{Timeout: 10 * time.Minute},
		Policy:     defaultPolicy(),
		Reboot:     RebootConfig{Timeout: defaultBootTimeout, LastResortAfter: defaultResort},
		Probation:  ProbationConfig{Grace: 10 * time.Second, Deadline: 5 * time.Minute},
		GC:         GCConfig{MinFree: defaultMinFree, MaxFree: defaultMaxFree},
		Inhibit:    InhibitConfig{Max: 4 * time.Hour, Logind: InhibitReboot, Users: InhibitNever},
		Drift:      DriftConfig{Policy: DriftAdopt, Settle: 5 * time.Minute},
		Metrics:    MetricsConfig{Listen: "127.0.0.1:9417"},
	}
}

// minDuration is the least that a duration may be: below it somebody forgot
// the unit.
const minDuration = 100 * time.Millisecond

// Validate names every problem of c.
func (c Config) Validate() error {
	var p problems
	p.check(!c.Host.IsZero(), "host: is required")
	p.check(path.IsAbs(c.StateDir), "state_dir: must be an absolute path, got %q", c.StateDir)
	p.check(path.IsAbs(c.RuntimeDir), "runtime_dir: must be an absolute path, got %q", c.RuntimeDir)
	p.check(c.MachineID == "" || machineIDForm.MatchString(c.MachineID), "machine_id: must be 32 digits of 0-9a-f, as /etc/machine-id has them, got %q", c.MachineID)
	p.check(len(c.NATS.Servers) > 0, "nats.servers: at least one URL is required")
	for _, s := range c.NATS.Servers {
		p.check(isServerURL(s), "nats.servers: %q must be a nats://, tls://, ws:// or wss:// URL", s)
	}
	p.add(bus.CheckServers("nats.servers", c.NATS.Servers))
	p.check(c.NATS.TLS.CAFile == "" || path.IsAbs(c.NATS.TLS.CAFile), "nats.tls.ca_file: must be an absolute path, got %q", c.NATS.TLS.CAFile)
	c.Proxy.validate(&p, c.outbound())
	p.check(path.IsAbs(c.NATS.CredentialsFile), "nats.credentials_file: must be an absolute path, got %q", c.NATS.CredentialsFile)
	for _, u := range c.NATS.RenewURLs {
		p.check(isEnrolment(u), "nats.renew_urls: %q must be such as https://build.example/enroll", u)
	}
	p.atLeast("nats.max_reconnect_delay", c.NATS.MaxReconnectDelay, minDuration)
	p.check(len(c.Trust.ReleaseKeys) > 0, "trust.release_keys: at least one key is required")
	p.check(c.Trust.ReleaseThreshold >= 1 && c.Trust.ReleaseThreshold <= max(1, len(c.Trust.ReleaseKeys)),
		"trust.release_threshold: must be between 1 and the number of release keys, got %d", c.Trust.ReleaseThreshold)
	p.check(len(c.Trust.ControllerKeys) > 0, "trust.controller_keys: at least one key is required")
	p.check(len(c.Trust.CacheKeys) > 0, "trust.cache_keys: at least one key is required")
	for _, u := range c.Caches {
		p.add(proto.ValidateCacheURL(u))
	}
	p.atLeast("fetch.timeout", c.Fetch.Timeout, time.Second)
	p.check(c.Fetch.MaxRate == 0 || c.Fetch.MaxRate >= minRate, "fetch.max_rate: must be at least %d bytes a second, or 0 for no bound, got %d", minRate, c.Fetch.MaxRate)
	p.check(c.Fetch.NetrcFile == "" || path.IsAbs(c.Fetch.NetrcFile), "fetch.netrc_file: must be an absolute path, got %q", c.Fetch.NetrcFile)
	p.atLeast("activation.timeout", c.Activation.Timeout, time.Second)
	c.Activation.validateSpecialisation(&p)
	c.Policy.validate(&p)
	p.atLeast("reboot.timeout", c.Reboot.Timeout, time.Second)
	p.atLeast("reboot.last_resort_after", c.Reboot.LastResortAfter, time.Second)
	c.Probation.validate(&p)
	c.Hooks.validate(&p)
	p.atLeast("inhibit.max", c.Inhibit.Max, minDuration)
	c.Generations.validate(&p)
	c.GC.validate(&p)
	c.Inhibit.Logind.validate(&p, "inhibit.logind")
	c.Inhibit.Users.validate(&p, "inhibit.users")
	c.Drift.validate(&p)
	c.Metrics.validate(&p)
	p.add(c.Log.Validate("log"))
	return errors.Join(p...)
}

func (c ProbationConfig) validate(p *problems) {
	p.atLeast("probation.grace", c.Grace, minDuration)
	p.check(c.Deadline > c.Grace, "probation.deadline: must be more than probation.grace, %s, got %s",
		c.Grace, c.Deadline)
	for _, g := range c.IgnoreUnits {
		_, err := path.Match(g, "")
		p.check(err == nil, "probation.ignore_units: %q is not a pattern", g)
	}
	names := map[string]bool{}
	for _, k := range c.Checks {
		p.check(k.Name != "" && !names[k.Name], "probation.checks: %q must be a name of its own", k.Name)
		k.validate(p, c.Deadline)
		names[k.Name] = true
	}
}

func isServerURL(s string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	switch scheme {
	case "nats", "tls", "ws", "wss":
		return ok && rest != ""
	default:
		return false
	}
}

func isEnrolment(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.Path == proto.EnrollPath && u.User == nil
}

// probation returns c's part of a deployment's record.
func (c ProbationConfig) probation() deployment.Probation {
	p := deployment.Probation{Grace: c.Grace, Deadline: c.Deadline, IgnoreUnits: c.IgnoreUnits}
	for _, k := range c.Checks {
		p.Checks = append(p.Checks, k.check())
	}
	return p
}

// trust returns c as [proto.Desired.Verify] takes it.
func (c TrustConfig) trust() proto.Trust {
	return proto.Trust{ReleaseKeys: c.ReleaseKeys, ReleaseThreshold: c.ReleaseThreshold, ControllerKeys: c.ControllerKeys}
}

// problems collects what is wrong.
type problems []error

func (p *problems) add(err error) {
	if err != nil {
		*p = append(*p, err)
	}
}

func (p *problems) check(ok bool, format string, args ...any) {
	if !ok {
		p.add(fmt.Errorf(format, args...))
	}
}

func (p *problems) atLeast(key string, got, least time.Duration) {
	p.check(got >= least, "%s: must be at least %s, got %s", key, least, got)
}
