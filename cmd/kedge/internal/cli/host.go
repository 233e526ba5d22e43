package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"kedge/internal/hostconfig"
	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) host() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "host",
		Short: "Add hosts, list them, and let them in no more",
	}
	cmd.AddCommand(k.hostAdd(), k.hostToken(), k.hostRevoke(), k.hostList(), k.hostShow(), k.hostLog(), k.hostReset())
	return cmd
}

func (k *kedge) hostAdd() *cobra.Command {
	var o addOptions
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a host's credentials",
		Long: `Make the credentials with which a host connects, and print them, or write them to
a file for its owner only. The key is made here; its private half goes nowhere
else. A host that is installed anew is added again: the key that it had before does
not count any more. What the host has to trust goes to standard error, or to a file, as a piece
of its agent's configuration.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "write the credentials to this file, which must not exist")
	cmd.Flags().StringVar(&o.config, "config", "", "write the configuration to this file, which must not exist")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print what to trust as JSON instead; needs --out")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := parseHost(args[0])
		if err != nil {
			return err
		}
		if o.asJSON && o.out == "" {
			return usage.Errorf("--json: needs --out, since the credentials go to standard output otherwise")
		}
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			return k.addHost(ctx, conn, host, o)
		})
	}
	return cmd
}

// addOptions are the flags of kedge host add.
type addOptions struct {
	out, config string
	asJSON      bool
}

func (k *kedge) addHost(ctx context.Context, conn *bus.Conn, host proto.HostName, o addOptions) (err error) {
	credentialsFile, err := newFile(o.out, k.Stdout, 0o600)
	if err != nil {
		return fmt.Errorf("credentials of %s: %w", host, err)
	}
	defer func() { err = errors.Join(err, credentialsFile.end(err)) }()
	configFile, err := newFile(o.config, k.Stderr, 0o644)
	if err != nil {
		return fmt.Errorf("configuration of %s: %w", host, err)
	}
	defer func() { err = errors.Join(err, configFile.end(err)) }()

	id, err := bus.NewIdentity()
	if err != nil {
		return err
	}
	r, err := call[proto.HostAddRequest, proto.HostAddReply](ctx, conn, proto.EndpointHostAdd, proto.HostAddRequest{Host: host, PublicKey: id.PublicKey})
	if err != nil {
		return err
	}
	text, err := bus.FormatCredentials(r.JWT, id.Seed)
	if err != nil {
		return err
	}
	if _, err := credentialsFile.Write(text); err != nil {
		return fmt.Errorf("write credentials of %s: %w", host, err)
	}
	if o.asJSON && o.config == "" {
		return terminal.WriteJSON(k.Stdout, r)
	}
	if _, err := io.WriteString(configFile, hostconfig.Text(host, hostconfig.Credentials, r.RenewURLs, r)); err != nil {
		return fmt.Errorf("write configuration of %s: %w", host, err)
	}
	return nil
}

func (k *kedge) hostList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the hosts, when each was last heard of, and its key",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
				r, err := callFleet(ctx, conn, proto.FleetRequest{})
				if err != nil {
					return err
				}
				t := table{{"HOST", "SEEN", "AGENT", "SERIAL", "KEY", "ENROLLED", "EXPIRES", "NOTE"}}
				for _, v := range r.Hosts {
					agent := ""
					if v.Status != nil {
						agent = v.Status.Agent
					}
					t.add(append([]string{v.Host.String(), terminal.Since(v.Seen, k.Now()), terminal.Dash(agent), v.Want.Serial.String()},
						keyCells(v.Key, k.Now())...)...)
				}
				t.draw(k.Stdout)
				return nil
			})
		},
	}
}

func (k *kedge) hostShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show everything that is known of a host",
		Args:  cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what the controller says, as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		host, err := parseHost(args[0])
		if err != nil {
			return err
		}
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			return k.shown(ctx, conn, k.showHost(host), asJSON, false)
		})
	}
	return cmd
}

// output is a file that is being made, or a stream.
type output struct {
	io.Writer
	file *os.File // nil for a stream
}

// newFile makes a file at path, which must not exist; without a path it is the
// stream.
func newFile(path string, stream io.Writer, perm os.FileMode) (output, error) {
	if path == "" {
		return output{Writer: stream}, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return output{}, err
	}
	return output{Writer: f, file: f}, nil
}

// end makes the file durable, or removes it if what it was made for failed.
func (o output) end(failure error) error {
	if o.file == nil {
		return nil
	}
	if failure != nil {
		return errors.Join(o.file.Close(), os.Remove(o.file.Name()))
	}
	return errors.Join(o.file.Sync(), o.file.Close())
}
