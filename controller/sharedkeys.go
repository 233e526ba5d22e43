package controller

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kedge/internal/durable"
)

// sharedKeysFile says which keys the leader had: keys are not shared, but that they are
// the same.
const sharedKeysFile = "shared-keys"

// errOtherKeys says that the last leader had other keys: what this controller signs,
// hosts may not trust.
var errOtherKeys = errors.New("the controller that led last has other keys, of a rotation or a first start: back them up there, and restore them here with kedge-controller restore --keys-only")

// keysDigest tells the keys of a directory from others, and nothing about them to who has
// not the key of the shared state.
func keysDigest(dir string, key []byte) (string, error) {
	mac := hmac.New(sha256.New, key)
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return "", fmt.Errorf("compare the keys: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || strings.HasPrefix(name, ".") || name == filepath.Base(controllerCredentials) || name == tlsKeyFile {
			continue // derived, or of one machine
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("compare the keys: %w", err)
		}
		sum := sha256.Sum256(data)
		fmt.Fprintf(mac, "%d %s %x\n", len(name), name, sum)
	}
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// shareKeys says which keys this controller, which leads, has. It fails with errOtherKeys
// if another one led last and had others.
func (c *Controller) shareKeys(member string, key []byte) error {
	digest, err := keysDigest(c.path(keysDir), key)
	if err != nil {
		return err
	}
	said, err := os.ReadFile(c.path(sharedKeysFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("compare the keys: %w", err)
	}
	last, had, _ := strings.Cut(strings.TrimSpace(string(said)), " ")
	switch {
	case last == member && had == digest:
		return nil
	case last != "" && last != member && had != digest:
		return errOtherKeys
	}
	if err := durable.WriteFile(c.path(sharedKeysFile), []byte(member+" "+digest+"\n"), 0o600); err != nil {
		return err
	}
	return c.shared(c.path(sharedKeysFile))
}
