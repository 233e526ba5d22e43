package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/keyfile"
	"kedge/internal/usage"
	"kedge/proto"
)

// Bounds of how long an assignment may be valid that is signed by hand.
const (
	defaultValid = 7 * 24 * time.Hour
	maxValid     = 90 * 24 * time.Hour
)

// assignOptions are the flags of kedge release assign.
type assignOptions struct {
	key, out string
	serial   uint64
	valid    time.Duration
	mode     proto.Mode
	caches   []string
}

func (k *kedge) releaseAssign() *cobra.Command {
	o := assignOptions{mode: proto.ModeSwitch}
	cmd := &cobra.Command{
		Use:   "assign FILE",
		Short: "Sign by hand, with a spare controller key, that a host shall run a release",
		Long: `Sign by hand that the host of a release shall run it: with a spare controller key,
for the day that the controller's own keys are lost or stolen. It asks nobody. What
is signed is written to a file, or to standard output, for kedge publish.

The serial must be higher than what was assigned to the host before (kedge host
list). It is valid for so long, or until something else is published for the host.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&o.key, "key", "", "sign with the secret controller key in this `FILE`; required")
	cmd.Flags().Uint64Var(&o.serial, "serial", 0, "serial of the assignment; required")
	cmd.Flags().DurationVar(&o.valid, "valid", defaultValid, "for how long")
	cmd.Flags().TextVar(&o.mode, "mode", proto.ModeSwitch, "`MODE`: switch, boot, test or dry-activate")
	cmd.Flags().StringArrayVar(&o.caches, "cache", nil, "`URL` of a binary cache to fetch from; may be given several times")
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "write what is signed to this file, which must not exist")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		switch {
		case o.key == "" || o.serial == 0:
			return usage.Errorf("--key and --serial are required")
		case o.valid < time.Minute || o.valid > maxValid:
			return usage.Errorf("--valid: must be between %s and %s, got %s", time.Minute, maxValid, o.valid)
		}
		return k.assign(args[0], o)
	}
	return cmd
}

func (k *kedge) assign(path string, o assignOptions) error {
	secret, err := keyfile.Read(o.key)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	release, err := readEnvelope(path)
	if err != nil {
		return err
	}
	r, err := proto.ReadRelease(release)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	now := k.Now().UTC().Truncate(time.Second)
	assignment, err := proto.Assignment{
		Host: r.Host, Serial: proto.Serial(o.serial), Issued: now, Expires: now.Add(o.valid),
		Release: proto.DigestOf(release.Payload), Mode: o.mode, Caches: o.caches,
	}.Sign(secret)
	if err != nil {
		return fmt.Errorf("assign %s: %w", path, err)
	}
	return k.writeStatement(o.out, proto.Desired{Format: proto.Format1, Release: release, Assignment: assignment})
}

// readAssigned reads a release with the assignment that a spare key signed.
func readAssigned(path string) (proto.Desired, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return proto.Desired{}, err
	}
	d, err := proto.ParseDesired(b)
	if err != nil {
		return d, fmt.Errorf("read %s: %w", path, err)
	}
	return d, nil
}
