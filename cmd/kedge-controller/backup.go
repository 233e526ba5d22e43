package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"kedge/controller"
)

// backup writes a backup.
func backup(config *string) *cobra.Command {
	var o controller.BackupOrder
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write what the controller cannot make again to an encrypted file; it may run",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := load(cmd, *config)
			if err != nil {
				return err
			}
			o.File, o.Version, o.Now = args[0], version, time.Now()
			return controller.Backup(c, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Secret.PassphraseFile, "passphrase-file", "", "encrypt with the passphrase in `FILE`")
	flags.StringVar(&o.Secret.RecipientsFile, "recipients-file", "", "encrypt to the public keys in `FILE`, as age-keygen -y prints them")
	cmd.MarkFlagsOneRequired("passphrase-file", "recipients-file")
	cmd.MarkFlagsMutuallyExclusive("passphrase-file", "recipients-file")
	return cmd
}

// restore puts a backup back.
func restore(config *string, stdout io.Writer) *cobra.Command {
	var o controller.BackupOrder
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of what is in the state directory; the controller must not run",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := load(cmd, *config)
			if err != nil {
				return err
			}
			o.File, o.Version, o.Now = args[0], version, time.Now()
			said, err := controller.Restore(c, o)
			if err != nil {
				return err
			}
			_, err = io.WriteString(stdout, said)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Secret.PassphraseFile, "passphrase-file", "", "open it with the passphrase in `FILE`")
	flags.StringVar(&o.Secret.IdentitiesFile, "identities-file", "", "open it with the secret keys in `FILE`, as age-keygen prints them")
	flags.BoolVar(&o.KeysOnly, "keys-only", false, "restore keys and operators' credentials, for a second controller or one whose state is elsewhere")
	flags.BoolVar(&o.Force, "force", false, "lose keys that are here and not in the backup")
	cmd.MarkFlagsOneRequired("passphrase-file", "identities-file")
	cmd.MarkFlagsMutuallyExclusive("passphrase-file", "identities-file")
	return cmd
}
