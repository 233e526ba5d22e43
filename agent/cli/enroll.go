package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kedge/agent/internal/credentials"
	"kedge/agent/internal/machine"
	"kedge/agent/internal/statefile"
	"kedge/internal/durable"
	"kedge/internal/hostconfig"
	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
	"kedge/proto/outbound"
)

const (
	enrollTimeout = time.Minute
	maxTokenFile  = 4 << 10
)

// enrollOptions are the flags of kedge-agent enroll.
type enrollOptions struct {
	tokenFile, out, config string
	caFile                 string
	pins                   []string
	plain                  bool
}

func (h host) enroll() *cobra.Command {
	var o enrollOptions
	cmd := &cobra.Command{
		Use:   "enroll URL",
		Short: "Make this host's key, and get credentials for it with a token",
		Long: `Make this host's key, and get credentials for it with a token that kedge host token
made. URL is that of the controller's /enroll. The private half of the key never leaves
this host. What the host has to trust goes to standard output, or to a file, as a piece
of the agent's configuration: compare it with what you know before you deploy it.
Credentials that there are already are replaced. If it fails, or the answer is lost, run
it again: the token is good for the same key until it expires.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), enrollTimeout)
			defer cancel()
			return h.enrol(ctx, args[0], o)
		},
	}
	cmd.Flags().StringVar(&o.tokenFile, "token-file", "-", "read the token from this `FILE`; - is standard input")
	cmd.Flags().StringVarP(&o.out, "out", "o", hostconfig.Credentials, "write the credentials to this `FILE`, for root alone")
	cmd.Flags().StringVar(&o.config, "write-config", "", "write what to trust to this `FILE`, which must not exist")
	cmd.Flags().StringSliceVar(&o.pins, "pin", nil, "trust the controller's key with this pin, as kedge host token prints it")
	cmd.Flags().StringVar(&o.caFile, "ca-file", "", "trust the authorities in this `FILE` in place of the system's")
	cmd.Flags().BoolVar(&o.plain, "plain-http", false, "send the token without TLS, where nobody in between can read it")
	return cmd
}

func (h host) enrol(ctx context.Context, to string, o enrollOptions) error {
	if err := checkEnrollURL(to, o.plain); err != nil {
		return err
	}
	out, err := filepath.Abs(o.out) // as the agent's configuration has it
	if err != nil {
		return fmt.Errorf("where to write the credentials: %w", err)
	}
	o.out = out
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	pending := pendingFile(o.out)
	if err := durable.MkdirAll(filepath.Dir(o.out), 0o700); err != nil { // the configuration may be to go there, too
		return err
	}
	if err := o.refuseConfig(pending); err != nil {
		return err
	}
	token, err := h.token(o.tokenFile)
	if err != nil {
		return err
	}
	id, err := pendingKey(pending)
	if err != nil {
		return err
	}
	instance, err := machine.Instance(h.Root)
	if err != nil {
		instance = "" // the agent says so
	}
	a := credentials.Applicant{
		Client: client, URL: to, Host: token.Host(), Identity: id, Instance: instance,
	}
	r, err := a.Apply(ctx, token)
	if errors.Is(err, credentials.ErrOtherKey) { // as that of an enrolment whose answer was lost may be
		fmt.Fprintf(h.Stderr, "the controller does not vouch for the key in %s; another one is made\n", pending)
		if a.Identity, err = newKey(pending); err != nil {
			return err
		}
		r, err = a.Apply(ctx, token)
	}
	if err != nil {
		return err
	}
	if err := h.keep(a, r, o); err != nil {
		return err
	}
	// Last of all: until then the token is good for this key.
	if err := durable.Remove(pending); err != nil {
		return fmt.Errorf("key of %s: %w", token.Host(), err)
	}
	fmt.Fprintf(h.Stderr, "%s is enrolled; its credentials are in %s and renew themselves\n", token.Host(), o.out)
	return nil
}

// keep keeps what a was given, durably, and says whom to trust. It may be repeated.
func (h host) keep(a credentials.Applicant, r proto.EnrollReply, o enrollOptions) error {
	text, err := bus.FormatCredentials(r.JWT, a.Identity.Seed)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(o.out, text, 0o600); err != nil {
		return fmt.Errorf("credentials of %s: %w", a.Host, err)
	}
	if err := h.place().files().SaveMachine(statefile.Machine{Instance: a.Instance}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // else the agent never ran here
	}
	return h.say(o.config, hostconfig.Text(a.Host, o.out, []string{a.URL}, r.HostAddReply))
}

// client returns how to reach the controller.
func (o enrollOptions) client() (*http.Client, error) {
	out := outbound.Options{CAFile: o.caFile}
	for _, text := range o.pins {
		pin, err := proto.ParsePin(text)
		if err != nil {
			return nil, usage.Errorf("--pin: %w", err)
		}
		out.Pins = append(out.Pins, pin)
	}
	return credentials.NewClient(out)
}

// checkEnrollURL refuses what is no URL of an enrolment, and to send a token where
// others can read it.
func checkEnrollURL(text string, plain bool) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Path != proto.EnrollPath {
		return usage.Errorf("URL: must be such as https://build.example" + proto.EnrollPath)
	}
	if a, err := netip.ParseAddr(u.Hostname()); u.Scheme == "https" || plain || err == nil && a.IsLoopback() {
		return nil
	}
	return usage.Errorf("URL: must begin with https://, or whoever is in between has the token (--plain-http does it all the same)")
}

// token reads the token.
func (h host) token(file string) (proto.Token, error) {
	in := h.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return proto.Token{}, fmt.Errorf("token: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxTokenFile))
	if err != nil {
		return proto.Token{}, fmt.Errorf("token: %w", err)
	}
	return proto.ParseToken(string(b))
}

// pendingFile is where the key is until it is enrolled, beside the credentials to be.
func pendingFile(out string) string {
	return filepath.Join(filepath.Dir(out), "."+filepath.Base(out)+".enrolling")
}

// pendingKey returns the key in file, of an enrolment that did not end, or a new one,
// which is there then.
func pendingKey(file string) (bus.Identity, error) {
	seed, err := os.ReadFile(file)
	if err == nil {
		return bus.ParseIdentity([]byte(strings.TrimSpace(string(seed))))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return bus.Identity{}, err
	}
	return newKey(file)
}

// newKey makes a key, and puts it into file durably, in the place of another one.
func newKey(file string) (bus.Identity, error) {
	id, err := bus.NewIdentity()
	if err != nil {
		return id, err
	}
	return id, durable.WriteFile(file, id.Seed, 0o600)
}

// refuseConfig refuses what say would, as far as that can be known before there is
// anything to say. While a key is pending the file may be there, from an enrolment that
// did not end.
func (o enrollOptions) refuseConfig(pending string) error {
	if o.config == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Dir(o.config)); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if _, err := os.Lstat(pending); err == nil {
		return nil
	}
	if _, err := os.Lstat(o.config); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("configuration: %s: %w", o.config, cmp.Or(err, fs.ErrExist))
	}
	return nil
}

// say writes text to a new file, durably, or to standard output without one. A file
// that has that text already is as good.
func (h host) say(file, text string) error {
	if file == "" {
		_, err := io.WriteString(h.Stdout, text)
		return err
	}
	switch is, err := os.ReadFile(file); {
	case err == nil && string(is) != text:
		return fmt.Errorf("configuration: %s: %w", file, fs.ErrExist)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("configuration: %w", err)
	}
	if err := durable.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}
