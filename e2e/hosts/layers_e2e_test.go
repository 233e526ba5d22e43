//go:build e2e

package hosts_test

import (
	"errors"
	"path/filepath"
	"testing"

	"kedge/e2e/hosts"
)

// TestLayers: what one machine wrote is on the disks of others, which change it for
// nobody but themselves.
func TestLayers(t *testing.T) {
	scratch, err := hosts.NewScratch(t.Context(), testFleets+"layers")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := scratch.Remove(); err != nil {
			t.Error(err)
		}
	})
	n := newNetwork(t, "frozen") // destroyed before what its disks lie on
	lower, upper := filepath.Join(scratch.Dir, "lower"), filepath.Join(scratch.Dir, "upper")
	frozen := func(dir, content string, layers ...string) {
		m := mustMachine(t, n, hosts.Options{Name: filepath.Base(dir), Layers: layers})
		for _, name := range []string{"/var/lib/" + m.Name(), "/var/lib/both"} {
			if err := m.WriteFile(name, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Freeze(dir); err != nil {
			t.Fatal(err)
		}
	}
	frozen(lower, "from below")
	frozen(upper, "from above", lower)

	web1 := mustMachine(t, n, hosts.Options{Name: "web1", Layers: []string{upper, lower}})
	mustBoot(t, web1)
	if err := web1.Freeze(filepath.Join(scratch.Dir, "none")); !errors.Is(err, hosts.ErrOn) {
		t.Errorf("Freeze of a running machine = %v, want ErrOn", err)
	}
	if got := mustRun(t, web1, "hostname"); got != "web1" {
		t.Errorf("the host calls itself %q", got)
	}
	mustRun(t, web1, "sh", "-c", "rm /var/lib/lower; echo changed > /var/lib/upper")
	web2 := mustMachine(t, n, hosts.Options{Name: "web2", Layers: []string{upper, lower}})
	for name, want := range map[string]string{"lower": "from below", "upper": "from above", "both": "from above"} {
		if got, err := web2.ReadFile("/var/lib/" + name); err != nil || string(got) != want {
			t.Errorf("%s on another machine: %q (%v), want %q", name, got, err, want)
		}
	}
}
