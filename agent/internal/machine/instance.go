package machine

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// machineIDFile says which installation this is; a copy of a disk is to have another
// one.
const machineIDFile = "/etc/machine-id"

// instanceSize is how many bytes tell machines apart.
const instanceSize = 16

// ID returns the machine ID, which is to be kept to the machine. root is the directory
// that /etc is looked for in; empty is /.
func ID(root string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, machineIDFile))
	if err != nil {
		return "", fmt.Errorf("read machine id: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if id == "" || id == "uninitialized" {
		return "", errors.New("read machine id: there is none yet")
	}
	return id, nil
}

// Instance returns what tells this machine from others, made of its machine ID, which
// cannot be found from it. root is as for [ID].
func Instance(root string) (string, error) {
	id, err := ID(root)
	if err != nil {
		return "", err
	}
	m := hmac.New(sha256.New, []byte(id))
	_, _ = m.Write([]byte("kedge instance")) // never fails
	return hex.EncodeToString(m.Sum(nil)[:instanceSize]), nil
}
