package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"kedge/agent"
	"kedge/agent/internal/control"
	"kedge/agent/internal/health"
	"kedge/agent/internal/statefile"
	"kedge/internal/setup"
	"kedge/internal/usage"
	"kedge/proto"
)

// Options is what the commands need of the world. All are required but the last.
type Options struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Config is the name of the agent's configuration, once flags are parsed.
	Config *string
	Now    func() time.Time // defaults to time.Now
	Root   string           // where /etc/machine-id is looked for; defaults to /
	Units  health.Units     // defaults to this host's systemd, which root may ask
}

// Commands returns the commands.
func Commands(o Options) []*cobra.Command {
	if o.Now == nil {
		o.Now = time.Now
	}
	h := host{Options: o}
	return []*cobra.Command{
		h.enroll(), h.status(), h.history(), h.check(), h.reconcile(), h.suspend(), h.resume(), h.inhibit(), h.confirm(), h.rollback(), h.lift(), h.logs(),
	}
}

// host is this host, as its commands see it.
type host struct{ Options }

// A place is where the agent is: the part of its configuration that whoever
// asks it has to know.
type place struct {
	Host       proto.HostName `config:"host"`
	StateDir   string         `config:"state_dir"`
	RuntimeDir string         `config:"runtime_dir"`
}

// Validate implements setup.Validator. The agent itself says what is wrong.
func (place) Validate() error { return nil }

func (p place) files() statefile.Dir   { return statefile.Dir{State: p.StateDir, Runtime: p.RuntimeDir} }
func (p place) client() control.Client { return control.Client{Dir: p.RuntimeDir} }

// place reads where the agent is. A configuration that cannot be read, such as
// one that keeps the agent from starting, leaves it where it is by default.
func (h host) place() place {
	d := agent.DefaultConfig()
	p := place{StateDir: d.StateDir, RuntimeDir: d.RuntimeDir}
	read, err := setup.DecodeKnown(*h.Config, p)
	switch {
	case err == nil:
		p = read
	case !errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(h.Stderr, "the agent is looked for in %s: %v\n", p.RuntimeDir, err)
	}
	if name, err := os.Hostname(); err == nil && p.Host.IsZero() {
		p.Host, _ = proto.ParseHostName(name) // zero if it is none
	}
	return p
}

// by returns who asks, as far as that can be known.
func (h host) by() string {
	if name := h.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

// flag names that several commands have.
const (
	flagJSON   = "json"
	flagReason = "reason"
	flagFor    = "for"

	flagWait    = "wait"
	flagTimeout = "timeout"
)

// checkFor refuses a length of time that somebody gave and that is none.
func checkFor(cmd *cobra.Command, d time.Duration) error {
	if cmd.Flags().Changed(flagFor) && d <= 0 {
		return usage.Errorf("--for must be more than 0")
	}
	return nil
}
