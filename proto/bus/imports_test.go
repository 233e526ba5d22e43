package bus

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Agents link this package, and have no use for a server.
func TestTheServerIsNotLinkedIn(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("go is not on PATH")
		}
		t.Skip("go is not on PATH; it is in the dev shell")
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		for _, unwanted := range []string{"github.com/nats-io/nats-server", "github.com/nats-io/jwt", "kedge/agent", "kedge/controller"} {
			if strings.HasPrefix(path, unwanted) {
				t.Errorf("imports %s", path)
			}
		}
	}
}
