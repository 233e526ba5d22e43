package nix

import (
	"os/exec"
	"strings"
	"testing"
)

func TestAnEvaluationMayUseSoMuchMemoryAndNoMore(t *testing.T) {
	for name, row := range map[string]struct {
		memory int
		want   string
	}{
		"bounded":   {512, "536870912 1048576"},
		"unbounded": {0, "none unlimited"},
	} {
		// The shell's own bound is set when it runs already: it waits for that.
		c, _ := fakeNix(t, `n=0; while [ '`+row.want+`' != 'none unlimited' ] && [ "$(ulimit -d)" = unlimited ] && [ $n -lt 100000 ]; do n=$((n+1)); done
echo "\"${GC_MAXIMUM_HEAP_SIZE:-none} $(ulimit -d)\""`)
		var got string
		if err := c.EvalInto(t.Context(), EvalOptions{Installable: "path:/x#y", Memory: row.memory}, &got); err != nil {
			t.Fatal(err)
		}
		if got != row.want {
			t.Errorf("%s: heap and data: got %q, want %q", name, got, row.want)
		}
	}
}

// TestAnotherUsersEvaluationBoundsItself, and cannot take that back.
func TestAnotherUsersEvaluationBoundsItself(t *testing.T) {
	for m, want := range map[memory]string{{data: 1024}: "1048576 1048576", {}: "unlimited unlimited"} {
		argv := m.limited([]string{"sh", "-c", `echo $(ulimit -d; ulimit -Hd)`})
		out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%+v: bounds %q, %v; want %q", m, got, err, want)
		}
	}
}

func TestOutOfMemory(t *testing.T) {
	for stderr, want := range map[string]bool{
		"GC Warning: Out of Memory!  Trying to continue...\nerror: out of memory\n": true,
		"error: attribute 'memory' missing\n":                                       false,
	} {
		c, _ := fakeNix(t, "printf '"+strings.ReplaceAll(strings.ReplaceAll(stderr, "'", `'\''`), "\n", `\n`)+"' >&2; exit 1")
		_, err := c.Eval(t.Context(), EvalOptions{Installable: "x"})
		if got := OutOfMemory(err); got != want {
			t.Errorf("%q: got %v, want %v", stderr, got, want)
		}
	}
}
