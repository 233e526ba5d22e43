package cli

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/spf13/cobra"

	"kedge/internal/keyfile"
	"kedge/internal/usage"
	"kedge/proto"
)

func (k *kedge) key() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make keys that sign, and see who trusts which",
	}
	cmd.AddCommand(k.keyGenerate(), k.keyShow(), k.keyStatus(), k.keyAdd(), k.keyRetire())
	return cmd
}

func (k *kedge) keyGenerate() *cobra.Command {
	var out, publicOut string
	cmd := &cobra.Command{
		Use:   "generate NAME",
		Short: "Make a key that signs",
		Long: `Make a key, as nix key generate-secret does: either serves for releases, for
assignments and for store paths. It is made here, and asks nobody. The secret half
goes to standard output, or to a file for its owner only, and the public half to
standard error then, or to standard output, or to a file.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write the secret half to this file, which must not exist")
	cmd.Flags().StringVar(&publicOut, "public-out", "", "write the public half to this file, which must not exist")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		secret, err := proto.GenerateKey(args[0], rand.Reader)
		if errors.Is(err, proto.ErrInvalidKey) {
			return usage.Errorf("%w", err)
		}
		if err != nil {
			return err
		}
		return k.writeKey(secret, out, publicOut)
	}
	return cmd
}

func (k *kedge) writeKey(secret proto.SecretKey, out, publicOut string) (err error) {
	secretFile, err := newFile(out, k.Stdout, 0o600)
	if err != nil {
		return fmt.Errorf("key %s: %w", secret.Public().Name(), err)
	}
	defer func() { err = errors.Join(err, secretFile.end(err)) }()
	stream := k.Stdout
	if out == "" {
		stream = k.Stderr
	}
	publicFile, err := newFile(publicOut, stream, 0o644)
	if err != nil {
		return fmt.Errorf("key %s: %w", secret.Public().Name(), err)
	}
	defer func() { err = errors.Join(err, publicFile.end(err)) }()
	if _, err := io.WriteString(secretFile, secret.Reveal()+"\n"); err != nil {
		return fmt.Errorf("write key %s: %w", secret.Public().Name(), err)
	}
	if _, err := io.WriteString(publicFile, secret.Public().String()+"\n"); err != nil {
		return fmt.Errorf("write the public half of key %s: %w", secret.Public().Name(), err)
	}
	return nil
}

func (k *kedge) keyShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE...",
		Short: "Print the public halves of secret keys",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			secrets, err := readKeys(args)
			if err != nil {
				return err
			}
			for _, s := range secrets {
				fmt.Fprintln(k.Stdout, s.Public())
			}
			return nil
		},
	}
}

// readKeys returns the secret keys in files.
func readKeys(paths []string) ([]proto.SecretKey, error) {
	var keys []proto.SecretKey
	for _, p := range paths {
		key, err := keyfile.Read(p)
		if err != nil {
			return nil, fmt.Errorf("read key: %w", cmp.Or(otherwise(p), err))
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// secretForm is what the file of a secret key looks like, also of one that is damaged.
var secretForm = regexp.MustCompile(`^[^\s:]+:[A-Za-z0-9+/=]*\s*$`)

// otherwise says what a file is that should have a secret key and was never one; nil if it
// may be one that is damaged, or exposed.
func otherwise(path string) error {
	if stat, err := os.Stat(path); err != nil || !stat.Mode().IsRegular() { // a pipe was read
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil //nolint:nilerr // who read it first says it better
	}
	if _, err := proto.ParsePublicKey(string(text)); err == nil {
		return fmt.Errorf("%s is a public key already", path)
	}
	if !secretForm.Match(text) {
		return fmt.Errorf("%s is not a secret key", path)
	}
	return nil
}
