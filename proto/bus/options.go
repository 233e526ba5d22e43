package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"
)

// Options say how to connect.
type Options struct {
	// Servers are the URLs to try: nats, tls, ws or wss. TLS trusts the system's
	// roots. Required.
	Servers []string
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
	if len(o.Servers) == 0 {
		errs = append(errs, errors.New("servers: at least one URL is required"))
	}
	for _, s := range o.Servers {
		if err := checkServer(s); err != nil {
			errs = append(errs, fmt.Errorf("servers: %w", err))
		}
	}
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

// checkServer reports why s is no URL of a NATS server. The error does not hold
// a password that may be in s.
func checkServer(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("not a URL")
	}
	if !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
		return fmt.Errorf("%s: must begin with nats://, tls://, ws:// or wss://", u.Redacted())
	}
	if u.Hostname() == "" {
		return fmt.Errorf("%s: names no host", u.Redacted())
	}
	return nil
}
