package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"kedge/proto"
)

func (k *kedge) release() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Sign what was built for a host, withdraw it, and look at what was signed",
	}
	cmd.AddCommand(k.releaseSign(), k.releaseAssign(), k.releaseShow(), k.releaseWithdraw(), k.releaseWithdrawn())
	return cmd
}

// readEnvelope returns the signed statement in a file.
func readEnvelope(path string) (proto.Envelope, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return proto.Envelope{}, err
	}
	e, err := proto.ParseEnvelope(b)
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("read %s: %w", path, err)
	}
	return e, nil
}

// writeStatement writes what was signed to a file, or to standard output.
func (k *kedge) writeStatement(path string, v any) (err error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write what was signed: %w", err)
	}
	file, err := newFile(path, k.Stdout, 0o644)
	if err != nil {
		return fmt.Errorf("write what was signed: %w", err)
	}
	defer func() { err = errors.Join(err, file.end(err)) }()
	if _, err := file.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write what was signed: %w", err)
	}
	return nil
}
