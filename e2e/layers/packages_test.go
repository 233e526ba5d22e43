package layers

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTaggedFindsWhatIsThereWithTheTagOnly(t *testing.T) {
	inModule(t, map[string]string{
		"go.mod":               "module example\n\ngo 1.26\n",
		"a/a.go":               "package a\n",
		"a/a_test.go":          "package a\n\nfunc TestAlways() {}\n",
		"a/a_host_test.go":     "//go:build host\n\npackage a\n\nfunc TestThere() {}\n\nfunc helper() {}\n",
		"b/only_test.go":       "//go:build host\n\npackage b_test\n\nimport _ \"example/a\"\n\nfunc TestMain() {}\n\nfunc TestOnly() {}\n",
		"c/c_test.go":          "package c\n\nfunc TestNever() {}\n\nfunc FuzzNow() {}\n",
		"d/without_test.go":    "//go:build host\n\npackage d\n\nfunc helper() {}\n",
		"e/with_other_test.go": "//go:build e2e\n\npackage e\n\nfunc TestOther() {}\n",
	})
	got, err := Tagged(t.Context(), "host")
	if err != nil {
		t.Fatal(err)
	}
	want := []TaggedPackage{
		{ImportPath: "example/a", Tests: []string{"TestThere"}},
		{ImportPath: "example/b", Tests: []string{"TestOnly"}, Needs: []string{"example/a"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("tagged packages (-want +got):\n%s", d)
	}

	all, err := packages(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, p := range all {
		names, err := p.functions(p.testFiles(), "Fuzz")
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, names...)
	}
	if d := cmp.Diff([]string{"FuzzNow"}, targets); d != "" {
		t.Errorf("fuzz tests (-want +got):\n%s", d)
	}
}

// inModule has the test run in a folder of its own with files, by their names.
func inModule(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}
