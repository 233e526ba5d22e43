package agent

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"path"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"kedge/agent/internal/check"
	"kedge/agent/internal/deployment"
)

// CheckConfig is one declared condition of health: exactly one of Unit, HTTP,
// TCP and Exec is set. docs/checks.md tells of each key.
type CheckConfig struct {
	Name string          `config:"name"`
	Unit string          `config:"unit"` // full name, must be active
	HTTP HTTPCheckConfig `config:"http"`
	TCP  string          `config:"tcp"`  // host:port, must accept a connection
	Exec []string        `config:"exec"` // argument vector, must exit with 0

	// Required: the system must pass. If false, it must if the one before did.
	Required bool `config:"required"`

	StartDelay time.Duration `config:"start_delay"` // before the first try
	Interval   time.Duration `config:"interval"`    // between two tries; zero is 1 s
	Timeout    time.Duration `config:"timeout"`     // of one try; zero is 5 s
	// Retries is how many tries in a row may fail until the check has failed for
	// good; zero lets it try until the deadline.
	Retries int `config:"retries"`
	// Successes is how many tries in a row must pass; zero is one.
	Successes int `config:"successes"`
}

// HTTPCheckConfig is a GET request, and what its answer must be.
type HTTPCheckConfig struct {
	URL      string             `config:"url"`
	Status   []int              `config:"status"` // those that pass; none is 200 to 399
	Body     string             `config:"body"`   // regular expression
	Headers  []HTTPHeaderConfig `config:"headers"`
	CAFile   string             `config:"ca_file"`  // in place of the system's authorities
	Insecure bool               `config:"insecure"` // trust every certificate
}

// HTTPHeaderConfig is one header of a request.
type HTTPHeaderConfig struct {
	Name  string `config:"name"`
	Value string `config:"value"`
}

// minCheckTimeout is the least that a try may be given.
const minCheckTimeout = 10 * time.Millisecond

// validate names every problem of c, which is judged within deadline.
func (c CheckConfig) validate(p *problems, deadline time.Duration) {
	require := func(ok bool, format string, args ...any) {
		p.check(ok, "probation.checks: %s: %s", c.Name, fmt.Sprintf(format, args...))
	}
	kinds := 0
	for _, set := range []bool{c.Unit != "", c.HTTP.set(), c.TCP != "", len(c.Exec) > 0} {
		if set {
			kinds++
		}
	}
	require(kinds == 1, "must have exactly one of unit, http, tcp and exec, has %d", kinds)
	require(c.Unit == "" || strings.Contains(c.Unit, "."), "unit: must be the full name of a unit, got %q", c.Unit)
	require(c.TCP == "" || isAddress(c.TCP), "tcp: must be host:port, got %q", c.TCP)
	require(len(c.Exec) == 0 || path.IsAbs(c.Exec[0]), "exec: must begin with the absolute path of a program, got %q", c.Exec)
	if c.HTTP.set() {
		c.HTTP.validate(require)
	}
	require(c.StartDelay >= 0, "start_delay: must not be negative, got %s", c.StartDelay)
	require(c.Interval == 0 || c.Interval >= minDuration, "interval: must be at least %s, got %s", minDuration, c.Interval)
	require(c.Timeout == 0 || c.Timeout >= minCheckTimeout, "timeout: must be at least %s, got %s", minCheckTimeout, c.Timeout)
	first := c.StartDelay + cmp.Or(c.Timeout, check.DefaultTimeout)
	require(first < deadline, "start_delay and timeout: must end the first try before probation.deadline, %s, got %s", deadline, first)
	require(c.Retries >= 0, "retries: must not be negative, got %d", c.Retries)
	require(c.Successes >= 0, "successes: must not be negative, got %d", c.Successes)
}

// set reports whether any key of c is.
func (c HTTPCheckConfig) set() bool { return !reflect.ValueOf(c).IsZero() }

func (c HTTPCheckConfig) validate(require func(ok bool, format string, args ...any)) {
	u, err := url.Parse(c.URL)
	require(err == nil && (u.Scheme == "http" || u.Scheme == "https") && isHost(u.Hostname()) && (u.Port() == "" || isPort(u.Port())),
		"http.url: must be an http:// or https:// URL, got %q", c.URL)
	require(err != nil || u.User == nil, "http.url: must not have a user or a password, which would be told in messages: use http.headers")
	for _, s := range c.Status {
		require(s >= 200 && s <= 599, "http.status: must be from 200 to 599, got %d", s)
	}
	_, err = regexp.Compile(c.Body)
	require(err == nil, "http.body: must be a regular expression: %v", err)
	for _, h := range c.Headers {
		require(isHeader(h), "http.headers: %q is not a header", h.Name+": "+h.Value)
	}
	require(c.CAFile == "" || path.IsAbs(c.CAFile), "http.ca_file: must be an absolute path, got %q", c.CAFile)
	require(c.CAFile == "" || !c.Insecure, "http: ca_file says nothing where insecure is true")
}

func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && isHost(host) && isPort(port)
}

func isHost(s string) bool { return s != "" && !strings.ContainsAny(s, " \t\r\n/") }

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// headerName is a token of RFC 9110.
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func isHeader(h HTTPHeaderConfig) bool {
	return headerName.MatchString(h.Name) && !strings.ContainsAny(h.Value, "\r\n\x00")
}

// check returns c's part of a deployment's record.
func (c CheckConfig) check() deployment.Check {
	k := deployment.Check{
		Name: c.Name, Unit: c.Unit, TCP: c.TCP, Exec: c.Exec, Required: c.Required,
		StartDelay: c.StartDelay, Interval: c.Interval, Timeout: c.Timeout, Retries: c.Retries, Successes: c.Successes,
	}
	if c.HTTP.set() {
		h := &deployment.HTTPCheck{URL: c.HTTP.URL, Status: c.HTTP.Status, Body: c.HTTP.Body, CAFile: c.HTTP.CAFile, Insecure: c.HTTP.Insecure}
		for _, header := range c.HTTP.Headers {
			h.Headers = append(h.Headers, deployment.HTTPHeader(header))
		}
		k.HTTP = h
	}
	return k
}
