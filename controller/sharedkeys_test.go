package controller

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestWhoHasOtherKeysDoesNotLead(t *testing.T) {
	dir, key := t.TempDir(), make([]byte, 32)
	c := &Controller{o: Options{Config: Config{StateDir: dir}}}
	write := func(name string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(name), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	share := func(member string, want error) {
		t.Helper()
		if err := c.shareKeys(member, key); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", member, err, want)
		}
	}
	for _, name := range []string{"keys/controller", "keys/release", "keys/nats.json"} {
		write(name)
	}
	share("a", nil)
	share("b", nil) // the same keys
	write("keys/controller-2")
	share("a", errOtherKeys) // b led last, and did not have it
	share("b", nil)          // b got it itself
	share("a", nil)
	write("keys/" + tlsKeyFile)
	write(controllerCredentials)
	share("b", nil) // those are nobody else's
}
