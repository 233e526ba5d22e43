package nix

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/proto"
)

const (
	pathA = "/nix/store/00000000000000000000000000000000-a"
	pathB = "/nix/store/11111111111111111111111111111111-b"
	// The same hash as nix-store --dump-db and as --query --hash print it.
	hashHex = "64b038c93b9e74ef61a013ad09d628ba13c8dfb73e8e8cbbbfbe6fe35d2b2aed"
	hashB32 = "sha256:1v9a5dfy6vxypyxqr3iynzgwh4xs53b0kb8kl1hyyx4y7g4kic34"
)

func TestRequisitesAreSortedAndUnique(t *testing.T) {
	c, _ := fakeNix(t, "printf '%s\\n' "+pathB+" "+pathA+" "+pathB)
	got, err := c.Requisites(t.Context(), parsePath(t, pathA))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].String() != pathA || got[1].String() != pathB {
		t.Errorf("got %v", got)
	}
}

// registered is what --dump-db prints of a path.
func registered(path, size string, references ...string) string {
	return strings.Join(append([]string{path, hashHex, size, "", fmt.Sprint(len(references))}, references...), "\n")
}

// TestClosuresAreToldByTwoProcesses, however many they are.
func TestClosuresAreToldByTwoProcesses(t *testing.T) {
	calls := filepath.Join(t.TempDir(), "calls")
	c, _ := fakeNix(t, "echo $1 >>"+calls+"; case $1 in --query) printf '%s\n' "+pathA+" "+pathB+";; *) cat <<E\n"+
		registered(pathB, "7", pathA, pathB)+"\n"+registered(pathA, "5")+"\nE\nesac")
	a, b := parsePath(t, pathA), parsePath(t, pathB)
	got, err := c.Closures(t.Context(), a, b)
	if err != nil {
		t.Fatal(err)
	}
	want := map[proto.StorePath]string{a: pathA + " " + hashB32 + " 5\n", b: pathA + " " + hashB32 + " 5\n" + pathB + " " + hashB32 + " 7\n"}
	for p, w := range want {
		if text := string(got[p].Text()); text != w || len(got) != 2 {
			t.Errorf("closure of %s: got\n%swant\n%s", p, text, w)
		}
	}
	if text, err := os.ReadFile(calls); err != nil || string(text) != "--query\n--dump-db\n" {
		t.Errorf("run: %q, %v, want one query and one dump", text, err)
	}
}

func TestPathInfosAreInTheOrderAskedFor(t *testing.T) {
	c, _ := fakeNix(t, "cat <<E\n"+registered(pathB, "7", pathA, pathB)+"\n"+registered(pathA, "5")+"\nE")
	got, err := c.PathInfos(t.Context(), parsePath(t, pathA), parsePath(t, pathB))
	if err != nil {
		t.Fatal(err)
	}
	want := pathA + " " + hashB32 + " 5\n" + pathB + " " + hashB32 + " 7\n"
	if text := string(got.Text()); text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}

func TestParseRegistrationsRefuses(t *testing.T) {
	tests := map[string]string{
		"a path that is none":       "/etc/passwd\n" + hashHex + "\n5\n\n0\n",
		"a torn registration":       pathA + "\n" + hashHex + "\n",
		"a hash that is none":       pathA + "\nzz\n5\n\n0\n",
		"a size that is none":       pathA + "\n" + hashHex + "\n-5\n\n0\n",
		"a count that is none":      pathA + "\n" + hashHex + "\n5\n\nx\n",
		"a negative count":          pathA + "\n" + hashHex + "\n5\n\n-1\n",
		"a reference that is none":  pathA + "\n" + hashHex + "\n5\n\n1\n/etc/passwd\n",
		"fewer references than due": pathA + "\n" + hashHex + "\n5\n\n2\n" + pathB + "\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := parseRegistrations([]byte(text)); err == nil {
				t.Errorf("no error, got %v", got)
			}
		})
	}
}

func TestPathInfosRefusesASilentAnswer(t *testing.T) {
	c, _ := fakeNix(t, "")
	if _, err := c.PathInfos(t.Context(), parsePath(t, pathA)); err == nil {
		t.Error("no error")
	}
}

func TestManyPathsAreSplitOverCommands(t *testing.T) {
	var paths []proto.StorePath
	name := strings.Repeat("n", 200)
	for i := range 5000 {
		paths = append(paths, parsePath(t, fmt.Sprintf("/nix/store/%032d-%s", i, name)))
	}
	total, commands := 0, 0
	for chunk := range chunks(paths) {
		size := 0
		for _, p := range chunk {
			size += len(p.String()) + 1
		}
		if size > argsLimit {
			t.Errorf("command of %d bytes", size)
		}
		total += len(chunk)
		commands++
	}
	if total != len(paths) || commands != 3 {
		t.Errorf("%d paths in %d commands, want %d in 3", total, commands, len(paths))
	}
}
