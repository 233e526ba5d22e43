package etc_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/e2e/toplevel/etc"
)

// A world is an /etc with two systems beside it.
type world struct {
	t        *testing.T
	dir, etc string
}

func newWorld(t *testing.T) world {
	t.Helper()
	dir := t.TempDir()
	w := world{t: t, dir: dir, etc: filepath.Join(dir, "etc")}
	w.write("etc/hostname", "debian")
	for _, path := range []string{"os-release", "kedge/agent.yaml", "systemd/system/app.service"} {
		w.write("old/"+path, "old")
		w.write("new/"+path, "new")
	}
	w.write("old/motd", "old")
	return w
}

func (w world) write(path, text string) {
	w.t.Helper()
	path = filepath.Join(w.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// setup sets /etc up for a system and returns what was said.
func (w world) setup(system string, links ...string) string {
	w.t.Helper()
	var said bytes.Buffer
	if err := etc.Setup(&said, w.etc, filepath.Join(w.dir, system), links); err != nil {
		w.t.Fatal(err)
	}
	return said.String()
}

func (w world) wantText(path, want string) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.etc, path))
	if err != nil && want != "" || string(text) != want {
		w.t.Errorf("%s: %q, %v, want %q", path, text, err, want)
	}
}

// TestSetup goes from an /etc without links to one system and from that to another, which has fewer files.
func TestSetup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := []string{"kedge/agent.yaml", "motd", "os-release", "systemd/system"}
	for range 2 { // the second time changes nothing
		if said := w.setup("old", all...); said != "" {
			t.Errorf("said %q, want nothing", said)
		}
		w.wantText("kedge/agent.yaml", "old")
		w.wantText("motd", "old")
		w.wantText("hostname", "debian")
		w.wantText("systemd/system/app.service", "old")
	}

	said := w.setup("new", "kedge/agent.yaml", "os-release", "systemd/system")
	if diff := cmp.Diff("removing obsolete symlink ‘"+w.etc+"/motd’...\n", said); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	w.wantText("kedge/agent.yaml", "new")
	w.wantText("systemd/system/app.service", "new")
	w.wantText("hostname", "debian")
	if _, err := os.Lstat(filepath.Join(w.etc, "motd")); err == nil {
		t.Error("a link that leads nowhere is still there")
	}
}

// TestSetupLeavesWhatIsNotItsOwn: links to elsewhere stay, even where they lead nowhere.
func TestSetupLeavesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nowhere := filepath.Join(w.etc, "nowhere")
	if err := os.Symlink("/no/such/file", nowhere); err != nil {
		t.Fatal(err)
	}
	if said := w.setup("old", "motd"); said != "" {
		t.Errorf("said %q, want nothing", said)
	}
	if _, err := os.Lstat(nowhere); err != nil {
		t.Error(err)
	}
}
