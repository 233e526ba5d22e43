package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstance(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	of := func(id string) (string, error) {
		if err := os.WriteFile(filepath.Join(root, machineIDFile), []byte(id), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Instance(root)
		return s, err
	}
	const id = "0123456789abcdef0123456789abcdef"
	one, err := of(id + "\n")
	if err != nil || len(one) != 2*instanceSize || strings.Contains(one, id[:8]) {
		t.Errorf("got %q, %v", one, err)
	}
	if again, _ := of(id); again != one {
		t.Errorf("the same machine is %q and %q", one, again)
	}
	if other, _ := of(strings.Replace(id, "0", "1", 1)); other == one {
		t.Error("two machines are one")
	}
	for _, none := range []string{"", "\n", "uninitialized\n"} {
		if s, err := of(none); err == nil {
			t.Errorf("machine id %q: got %q", none, s)
		}
	}
}
