package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"kedge/proto/outbound"
)

// Options say how to connect.
type Options struct {
	// Servers are the URLs to try: nats and tls, or ws and wss; the NATS client
	// cannot mix the two kinds. Required, unless InProcess is.
	Servers []string
	// Outbound says whom TLS trusts, and which proxy there is. Where it names
	// pins or authorities, nothing is said to a server without TLS.
	Outbound outbound.Options
	// InProcess is a server in this process, in place of Servers.
	InProcess nats.InProcessConnProvider
	// Name is what the server shows for this connection. Required.
	Name string
	// Credentials is the path of a .creds file. It is read at every
	// connection, so that renewed credentials need no restart. Required.
	Credentials string
	// Renewed is the path of a file that may hold a JWT for the key in Credentials,
	// and does not have to exist: the one that is valid for longer is used. It is
	// read as often.
	Renewed string
	// Backoff is the time between attempts.
	Backoff Backoff
	// Timeout limits one attempt. It defaults to 10 s.
	Timeout time.Duration
	// Log is required.
	Log *slog.Logger
}

const defaultTimeout = 10 * time.Second

// withDefaults returns o with its zero fields filled, or every reason why it
// cannot be used.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	if len(o.Servers) == 0 && o.InProcess == nil {
		errs = append(errs, fmt.Errorf("servers: %w", errNoServer))
	}
	errs = append(errs, eachServer("servers", o.Servers))
	errs = append(errs, o.Outbound.Problems()...)
	if o.Name == "" {
		errs = append(errs, errors.New("name is required"))
	}
	if o.Credentials == "" {
		errs = append(errs, errors.New("credentials: the path of a .creds file is required"))
	}
	if o.Log == nil {
		errs = append(errs, errors.New("log is required"))
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	o.Backoff = o.Backoff.withDefaults()
	o.Servers = slices.Clone(o.Servers)
	return o, errors.Join(errs...)
}

// ParseServers returns the URLs in text, which has commas between them. The error names
// everything that is wrong with them; each part of it begins with key.
func ParseServers(key, text string) ([]string, error) {
	servers := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	if len(servers) == 0 {
		return nil, fmt.Errorf("%s: %w", key, errNoServer)
	}
	return servers, eachServer(key, servers)
}

// eachServer reports everything that is wrong with servers.
func eachServer(key string, servers []string) error {
	var errs []error
	for _, s := range servers {
		if err := checkServer(s); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	return errors.Join(append(errs, CheckServers(key, servers))...)
}

var errNoServer = errors.New("at least one URL is required")

// errMixed says what the NATS client cannot do.
var errMixed = errors.New("ws:// and wss:// cannot be mixed with nats:// and tls://")

// CheckServers reports why servers, URLs each, cannot be tried one after the
// other, or nil. The error begins with key.
func CheckServers(key string, servers []string) error {
	if mixed(servers) {
		return fmt.Errorf("%s: %w", key, errMixed)
	}
	return nil
}

// mixed reports whether some of servers, but not all, are reached by WebSocket.
func mixed(servers []string) bool {
	n := 0
	for _, s := range servers {
		if strings.HasPrefix(strings.ToLower(s), "ws") {
			n++
		}
	}
	return n != 0 && n != len(servers)
}

// checkServer reports why s is no URL of a NATS server. The error does not hold
// a password that may be in s.
func checkServer(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("%q: not a URL", s[strings.LastIndexByte(s, '@')+1:])
	}
	if !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
		return fmt.Errorf("%s: must begin with nats://, tls://, ws:// or wss://", u.Redacted())
	}
	if u.Hostname() == "" {
		return fmt.Errorf("%s: names no host", u.Redacted())
	}
	return nil
}
