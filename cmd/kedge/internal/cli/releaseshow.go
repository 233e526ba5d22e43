package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
)

func (k *kedge) releaseShow() *cobra.Command {
	var trust []string
	threshold := 1
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Verify a release, and say what is in it",
		Long: `Say what is in a release, and who signed it. With --trust it is verified, as a host
would that trusts these keys, and the exit code is 1 if it does not. It asks nobody.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringArrayVar(&trust, "trust", nil, "public `KEY`, as name:base64, or a file with such keys, one a line; may be given several times")
	cmd.Flags().IntVar(&threshold, "threshold", 1, "how many of them must have signed")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		keys, err := publicKeys(trust)
		if err != nil {
			return err
		}
		if threshold < 1 || len(keys) > 0 && threshold > len(keys) {
			return usage.Errorf("--threshold: must be between 1 and the number of trusted keys, got %d", threshold)
		}
		e, err := readEnvelope(args[0])
		if err != nil {
			return err
		}
		r, err := proto.ReadRelease(e)
		if err != nil {
			return fmt.Errorf("read %s: %w", args[0], err)
		}
		k.drawRelease(e, r, keys)
		if len(keys) == 0 {
			fmt.Fprintln(k.Stdout, "\nnot verified: no key is trusted; see --trust")
			return nil
		}
		if _, err := proto.OpenRelease(e, keys, threshold); err != nil {
			return err
		}
		fmt.Fprintf(k.Stdout, "\nverified: %d of %d trusted keys are required\n", threshold, len(keys))
		return nil
	}
	return cmd
}

func (k *kedge) drawRelease(e proto.Envelope, r proto.Release, trusted []proto.PublicKey) {
	var t table
	t.add("Host", r.Host.String())
	t.add("Serial", r.Serial.String())
	t.add("Toplevel", r.Toplevel.String())
	t.add("Revision", terminal.Dash(r.Revision.String()))
	t.add("Closure", r.Closure.String())
	t.add("Release", proto.DigestOf(e.Payload).String())
	for _, s := range e.Signatures {
		t.add("Signed by", s.KeyID+", "+judgeSignature(e, s, trusted))
	}
	t.draw(k.Stdout)
}

// judgeSignature says what one signature of e is worth.
func judgeSignature(e proto.Envelope, s proto.Signature, trusted []proto.PublicKey) string {
	e.Signatures = []proto.Signature{s}
	switch _, err := e.Open(e.PayloadType, trusted, 1); {
	case len(trusted) == 0:
		return "not verified"
	case err == nil:
		return "good"
	case errors.Is(err, proto.ErrBadSignature):
		return "which does not fit"
	}
	return "which is not trusted"
}

// publicKeys parses keys, and reads those that are in files.
func publicKeys(args []string) ([]proto.PublicKey, error) {
	var keys []proto.PublicKey
	for _, a := range args {
		texts := []string{a}
		if !strings.Contains(a, ":") {
			b, err := os.ReadFile(a)
			if err != nil {
				return nil, err
			}
			texts = strings.Fields(string(b))
		}
		for _, text := range texts {
			key, err := proto.ParsePublicKey(text)
			if err != nil {
				return nil, usage.Errorf("--trust: %w", err)
			}
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys, nil
}
