package backup

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"

	"filippo.io/age"
)

// others are the permissions that a secret's file has for nobody.
const others fs.FileMode = 0o077

// A Secret names the file that a backup is encrypted with, or opened: one of them.
type Secret struct {
	PassphraseFile string
	RecipientsFile string // public keys, as age-keygen -y prints them; to encrypt
	IdentitiesFile string // their secret halves, as age-keygen prints them; to open
}

// Recipients returns whom to encrypt to.
func (s Secret) Recipients() ([]age.Recipient, error) {
	if s.PassphraseFile != "" {
		passphrase, err := passphrase(s.PassphraseFile)
		if err != nil {
			return nil, err
		}
		r, err := age.NewScryptRecipient(passphrase)
		if err != nil {
			return nil, fmt.Errorf("passphrase in %s: %w", s.PassphraseFile, err)
		}
		return []age.Recipient{r}, nil
	}
	text, err := os.ReadFile(s.RecipientsFile)
	if err != nil {
		return nil, fmt.Errorf("recipients: %w", err)
	}
	to, err := age.ParseRecipients(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("recipients in %s: %w", s.RecipientsFile, err)
	}
	return to, nil
}

// Identities returns what opens a backup.
func (s Secret) Identities() ([]age.Identity, error) {
	if s.PassphraseFile != "" {
		passphrase, err := passphrase(s.PassphraseFile)
		if err != nil {
			return nil, err
		}
		i, err := age.NewScryptIdentity(passphrase)
		if err != nil {
			return nil, fmt.Errorf("passphrase in %s: %w", s.PassphraseFile, err)
		}
		return []age.Identity{i}, nil
	}
	text, err := private(s.IdentitiesFile)
	if err != nil {
		return nil, fmt.Errorf("identities: %w", err)
	}
	by, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil { // it does not hold what it read
		return nil, fmt.Errorf("identities in %s: they are no secret keys of age", s.IdentitiesFile)
	}
	return by, nil
}

// passphrase returns what is in a file, but for the end of its line.
func passphrase(file string) (string, error) {
	text, err := private(file)
	if err != nil {
		return "", fmt.Errorf("passphrase: %w", err)
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 {
		return "", fmt.Errorf("passphrase: %s is empty", file)
	}
	return string(text), nil
}

// private reads a file that nobody else may read. What is no regular file, such as a
// pipe, nobody else can.
func private(file string) ([]byte, error) {
	stat, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if perm := stat.Mode().Perm(); stat.Mode().IsRegular() && perm&others != 0 {
		return nil, fmt.Errorf("%s may be read by others (%o): chmod 600", file, perm)
	}
	return os.ReadFile(file)
}
