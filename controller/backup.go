package controller

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"kedge/controller/internal/backup"
	"kedge/controller/internal/replica"
	"kedge/internal/durable"
)

// controllerCredentials are made anew at each start.
const controllerCredentials = keysDir + "/controller.creds"

// identityParts names what makes a controller itself. It is made once, and never
// found again elsewhere.
func identityParts() []string { return []string{operatorsFile, adminFile, keysDir} }

// durableParts names all that is below the state directory and cannot be made again,
// each after what refers to it.
func durableParts() []string {
	return append([]string{rolloutsDir, channelsDir, holdsFile, keptRevisionsFile, desiredDir, withdrawalsFile, hostsDir}, identityParts()...)
}

// A BackupOrder says where a backup goes, or comes from.
type BackupOrder struct {
	File    string
	Secret  BackupSecret
	Version string // of this program
	Now     time.Time
	// KeysOnly restores who the controller is and not what it did, and Force loses keys
	// that are not in the backup.
	KeysOnly, Force bool
}

// A BackupSecret names the file that a backup is encrypted with.
type BackupSecret = backup.Secret

// Backup writes what a controller with configuration c cannot make again to a file,
// encrypted, in the place of what is there. The controller may run.
func Backup(c Config, o BackupOrder) error {
	keys := filepath.Join(c.StateDir, keysDir)
	if _, err := os.Stat(keys); err != nil {
		return fmt.Errorf("back up: %w: the controller makes its keys on its first start", err)
	}
	to, err := o.Secret.Recipients()
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	var sealed bytes.Buffer
	h := backup.Head{Made: o.Now.UTC(), Version: o.Version, Host: host, Parts: durableParts()}
	if err := backup.Save(&sealed, c.StateDir, h, to); err != nil {
		return err
	}
	return durable.WriteFile(o.File, sealed.Bytes(), 0o600)
}

// Restore puts a backup in the place of what a controller with configuration c has,
// which must not run. It returns what to tell a person.
func Restore(c Config, o BackupOrder) (said string, err error) {
	by, err := o.Secret.Identities()
	if err != nil {
		return "", err
	}
	f, err := os.Open(o.File)
	if err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	b, err := backup.Load(f, durableParts(), by...)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if err := durable.MkdirAll(c.StateDir, 0o700); err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	lock, err := lockState(c.StateDir)
	if err != nil {
		return "", fmt.Errorf("restore: %w: stop kedge-controller.service first", err)
	}
	parts := durableParts()
	if o.KeysOnly {
		parts = identityParts()
	}
	aside, err := b.Restore(backup.Order{
		Dir: c.StateDir, Keys: keysDir, Derived: controllerCredentials, Parts: parts, Force: o.Force, Now: o.Now,
	})
	if err == nil && (c.HA.Enabled || replica.Joined(c.StateDir)) {
		err = replica.Join(c.StateDir) // the others may have gone on since
	}
	if err := errors.Join(err, lock.Close()); err != nil {
		return "", err
	}
	said = fmt.Sprintf("restored what %s had on %s\n", b.Host, b.Made.UTC().Format(time.RFC3339))
	if aside != "" {
		said += fmt.Sprintf("what was here before is in %s; there are keys in it\n", aside)
	}
	return said, nil
}
