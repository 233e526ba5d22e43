package deployment

import "time"

// A Check is one declared condition of health: exactly one of Unit, HTTP, TCP
// and Exec is set.
type Check struct {
	Name string     `json:"name"`
	Unit string     `json:"unit"`           // must be active
	HTTP *HTTPCheck `json:"http,omitempty"` // must answer as is expected
	TCP  string     `json:"tcp,omitempty"`  // host:port, must accept a connection
	Exec []string   `json:"exec,omitempty"` // argument vector; must exit with 0

	// Required: it must pass by the deadline. If false, it must do so only if
	// it passed before the activation.
	Required bool `json:"required"`
	// Before is how it went before the activation, unless it is required.
	Before Before `json:"before,omitempty"`

	// StartDelay is the time to the first try, Interval that between two.
	StartDelay time.Duration `json:"start_delay,omitempty"`
	Interval   time.Duration `json:"interval,omitempty"` // zero means 1 s
	Timeout    time.Duration `json:"timeout,omitempty"`  // of one try; zero means 5 s
	// Retries is how many tries in a row may fail until it counts as failed
	// before the deadline; zero means any number.
	Retries int `json:"retries,omitempty"`
	// Successes is how many tries in a row must pass; zero means one.
	Successes int `json:"successes,omitempty"`
}

// Counts reports whether the system must not be kept unless c passes.
func (c Check) Counts() bool { return c.Required || c.Before == BeforePassed }

// An HTTPCheck is a GET request, and what its answer must be.
type HTTPCheck struct {
	URL string `json:"url"`
	// Status lists the status codes that pass; empty means 200 to 399.
	Status []int `json:"status,omitempty"`
	// Body is a regular expression that must match within the first 64 KiB.
	Body    string       `json:"body,omitempty"`
	Headers []HTTPHeader `json:"headers,omitempty"`
	// CAFile is trusted in place of the system's authorities. Insecure trusts
	// every certificate.
	CAFile   string `json:"ca_file,omitempty"`
	Insecure bool   `json:"insecure,omitempty"`
}

// An HTTPHeader is one header of a request.
type HTTPHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Before is how a check that is not required went before the activation. The
// zero value means that it was not tried.
type Before string

// The values of Before.
const (
	BeforePassed Before = "passed"
	BeforeFailed Before = "failed"
)
