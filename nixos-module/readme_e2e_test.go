//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// nixBlock matches Nix in Markdown.
var nixBlock = regexp.MustCompile("(?s)```nix\n(.*?)```")

// TestReadme evaluates the systems that the README shows, as somebody who copies them.
func TestReadme(t *testing.T) {
	m := newMachine(t, "readme")
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	// The fleet's hosts are files beside it.
	for _, name := range []string{"web1", "web2"} {
		if err := m.WriteFile("/srv/readme/"+name+".nix", []byte("{ boot.of = \""+name+"\"; }\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var files []string
	for i, block := range nixBlock.FindAllStringSubmatch(string(text), -1) {
		file := fmt.Sprintf("/srv/readme/%d.nix", i)
		if err := m.WriteFile(file, []byte(block[1]), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	out, err := m.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json",
		"--arg", "examples", "[ "+strings.Join(files, " ")+" ]", project+"/nixos-module/tests/readme.nix")
	if err != nil {
		t.Fatal(err)
	}
	var systems []map[string]string
	if err := json.Unmarshal([]byte(out), &systems); err != nil {
		t.Fatal(err)
	}
	var services []string
	for _, system := range systems {
		for name := range system {
			services = append(services, name)
		}
	}
	slices.Sort(services)
	if want := []string{"kedge-agent", "kedge-controller", "kedge-trial"}; !slices.Equal(services, want) {
		t.Errorf("the README's systems run %q, want %q", services, want)
	}
}
