package keyfile_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/internal/keyfile"
	"kedge/proto"
)

func TestOpenMakesAKeyOnceAndKeepsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "release")
	first, err := keyfile.Open(path, "kedge-test-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second, err := keyfile.Open(path, "another-name", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if first.Reveal() != second.Reveal() {
		t.Errorf("opened twice: got %v, want the first key %v", second, first)
	}
	if got := first.Public().Name(); got != "kedge-test-1" {
		t.Errorf("name of the new key: got %q, want kedge-test-1", got)
	}
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := stat.Mode().Perm(); got != 0o600 {
		t.Errorf("permissions of %s: got %#o, want 0600", path, got)
	}
}

func TestOpenRefusesAndLeavesAlone(t *testing.T) {
	good, err := proto.GenerateKey("kedge-test-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, content string
		perm          os.FileMode
		want          func(error) bool
	}{
		{"an empty file", "", 0o600, isDamaged},
		{"a torn file", good.Reveal()[:40], 0o600, isDamaged},
		{"a public key", good.Public().String(), 0o600, isDamaged},
		{"a key that everybody may read", good.Reveal(), 0o644, isExposed},
		{"a key that the group may read", good.Reveal(), 0o640, isExposed},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(row.content), row.perm); err != nil {
				t.Fatal(err)
			}
			_, err := keyfile.Open(path, "x", rand.Reader)
			if err == nil || !row.want(err) {
				t.Fatalf("got error %v, want another", err)
			}
			if !strings.Contains(err.Error(), path) {
				t.Errorf("error %q does not name %s", err, path)
			}
			if secret := good.Reveal()[20:]; strings.Contains(err.Error(), secret) {
				t.Errorf("error %q holds the key", err)
			}
			left, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(left, []byte(row.content)) {
				t.Errorf("the file was changed to %q", left)
			}
		})
	}
}

func TestOpenReadsAKeyWithAnyNameAndOwnerOnlyPermissions(t *testing.T) {
	key, err := proto.GenerateKey("made-by-nix.example.org-7", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(key.Reveal()), 0o400); err != nil {
		t.Fatal(err)
	}
	got, err := keyfile.Open(path, "x", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got.Reveal() != key.Reveal() {
		t.Errorf("got %v, want %v", got, key)
	}
}

func isDamaged(err error) bool { return errors.As(err, new(*keyfile.DamagedError)) }
func isExposed(err error) bool { return errors.As(err, new(*keyfile.ExposedError)) }
