package build

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kedge/internal/nix"
)

// preparedNix stands in for nix. It evaluates to what is in the file "answer", once
// what builds has started, which notes its process in the file "builds" and takes
// whatever it is told for built.
const preparedNix = `#!/bin/sh
here=${0%/*}
case $1 in
eval) test -e "$here/asked" || read -r up <"$here/up"; : >"$here/asked"; cat "$here/answer" ;;
copy) echo $$ >>"$here/builds"; echo up >"$here/up"; while read -r line; do :; done ;;
esac
`

const prepared = "git+file:///fleet?rev=0123456789012345678901234567890123456789"

func TestWhatBuildsStartsWithTheEvaluation(t *testing.T) {
	b, dir := preparedBuilder(t)
	e, err := b.Evaluate(t.Context(), prepared)
	must(t, err)
	builds, err := b.Build(t.Context(), e, nil)
	must(t, err)
	if pids := builders(t, dir); len(builds.Toplevels) != 1 || len(pids) != 1 {
		t.Errorf("built %v by %d processes, want 1 by 1; failed: %v", builds.Toplevels, len(pids), builds.Failed)
	}
	if e, err = b.Evaluate(t.Context(), prepared); err != nil || e.prepared != nil || len(e.Hosts) != 1 {
		t.Errorf("evaluated again: %v, %v, and %v waits; want nothing to", e.Hosts, err, e.prepared)
	}
	if builds, err = b.Build(t.Context(), e, nil); err != nil || len(builds.Toplevels) != 1 || len(builders(t, dir)) != 1 {
		t.Errorf("built again: %v, %v, by %d processes; want nothing to start", builds, err, len(builders(t, dir)))
	}
}

func TestWhatWaitsToBuildEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		end    func(t *testing.T, b *Builder, e Evaluations, err error)
	}{
		"nothing evaluates": {"syntax error", func(t *testing.T, _ *Builder, _ Evaluations, err error) {
			if err == nil {
				t.Error("what is no answer was taken for one")
			}
		}},
		"nothing is built": {answerOf(t, "db1"), func(_ *testing.T, _ *Builder, e Evaluations, _ error) { e.Close() }},
		"no root can be made": {answerOf(t, "db1"), func(t *testing.T, b *Builder, e Evaluations, _ error) {
			must(t, os.WriteFile(b.o.Roots, nil, 0o600))
			if _, err := b.Build(t.Context(), e, nil); err == nil {
				t.Error("built without a root")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b, dir := preparedBuilder(t)
			must(t, os.WriteFile(filepath.Join(dir, "answer"), []byte(tt.answer), 0o600))
			e, err := b.Evaluate(t.Context(), prepared)
			tt.end(t, b, e, err)
			for _, pid := range builders(t, dir) {
				if err := syscall.Kill(pid, 0); err == nil {
					t.Error("what was to build still waits")
				}
			}
		})
	}
}

// preparedBuilder returns a builder whose one host's system is there, though it does
// not know that yet, and where its Nix is.
func preparedBuilder(t *testing.T) (b *Builder, dir string) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "nix"), []byte(preparedNix), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "answer"), []byte(answerOf(t, "db1")), 0o600))
	must(t, unix.Mkfifo(filepath.Join(dir, "up"), 0o600))
	makeToplevel(t, filepath.Join(dir, "store", evaluation(t, "db1").Toplevel.Base()))
	must(t, os.WriteFile(filepath.Join(dir, "store", evaluation(t, "db1").Derivation.Base()), nil, 0o600))
	b, err := New(Options{
		Nix: &nix.CLI{BinDir: dir}, CopyTo: "file:///cache", Roots: filepath.Join(dir, "roots"), Store: filepath.Join(dir, "store"),
		Evaluations: filepath.Join(dir, "evaluations"), EvalTimeout: 30 * time.Second, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	return b, dir
}

// answerOf is what a flake with one host evaluates to.
func answerOf(t *testing.T, name string) string {
	e := evaluation(t, name)
	return `{"kedge":{},"names":["` + name + `"],"hosts":{"` + name + `":{"drv":"` + e.Derivation.String() + `","out":"` + e.Toplevel.String() + `"}}}`
}

// builders returns the processes that were started to build.
func builders(t *testing.T, dir string) (pids []int) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "builds"))
	must(t, err)
	for _, field := range slices.Collect(strings.FieldsSeq(string(data))) {
		pid, err := strconv.Atoi(field)
		must(t, err)
		pids = append(pids, pid)
	}
	return pids
}
