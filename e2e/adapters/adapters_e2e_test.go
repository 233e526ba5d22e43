//go:build e2e

package adapters_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/e2e/aarch64"
	"kedge/e2e/hosts"
	"kedge/e2e/layers"
)

// TestInAHost runs every test with the build tag host in a host, which is a
// machine of its own for them to upset, and those of what runs Nix once more
// where an older and a newer Nix are. What became of each test there is what
// becomes of a subtest here.
func TestInAHost(t *testing.T) {
	t.Chdir(filepath.Join("..", "..")) // the module's directory
	packages, err := layers.Tagged(t.Context(), "host")
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) == 0 {
		t.Fatal("no package has tests with the build tag host")
	}
	programs := compile(t, packages)
	must(t, aarch64.Ensure(t.Context(), func(line string) { t.Log(line) }))
	must(t, aarch64.Compile(t.Context(), filepath.Join(programs, path.Base(aarch64.Builder))))
	for _, place := range places() {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel() // they wait more than they compute
			m := machine(t, place)
			version, err := m.Run(t.Context(), "nix-store", "--version")
			if err != nil || !strings.Contains(version, place.nix) {
				t.Fatalf("there is %q (%v), want Nix %s", version, err, place.nix)
			}
			t.Log(version)
			send(t, m, filepath.Join(programs, path.Base(aarch64.Builder)))
			for _, p := range packages {
				if place.runs(p) {
					t.Run(strings.TrimPrefix(p.ImportPath, "kedge/"), func(t *testing.T) {
						runOn(t, m, filepath.Join(programs, path.Base(p.ImportPath)+".test"), p.Tests)
					})
				}
			}
		})
	}
}

// A place is a host to run tests in.
type place struct {
	name    string
	prepare func(ctx context.Context, log func(string)) (rootfs string, err error)
	nix     string // in its version
	runs    func(layers.TaggedPackage) bool
}

// places has every Nix that can be had in a minute. NixOS has supported 2.18 and
// newer: what does without what came after 2.8 does without what came after 2.18.
// Hosts cannot choose their Nix, but a build host can.
func places() []place {
	with := func(release string) func(ctx context.Context, log func(string)) (string, error) {
		return func(ctx context.Context, log func(string)) (string, error) {
			return hosts.PrepareNix(ctx, log, release)
		}
	}
	return []place{
		{"agent", hosts.Prepare, " 2.26.", ofAgent},
		{"others", hosts.Prepare, " 2.26.", func(p layers.TaggedPackage) bool { return !ofAgent(p) }},
		{"oldest-nix", with("bookworm"), " 2.8.", func(p layers.TaggedPackage) bool {
			return runsNix(p) && !strings.HasPrefix(p.ImportPath, "kedge/controller/") && !strings.HasPrefix(p.ImportPath, "kedge/cmd/")
		}},
		{"newest-nix", with("sid"), " 2.", runsNix},
	}
}

// ofAgent reports whether a package is one of the agent's.
func ofAgent(p layers.TaggedPackage) bool { return strings.HasPrefix(p.ImportPath, "kedge/agent/") }

// runsNix reports whether a package runs Nix.
func runsNix(p layers.TaggedPackage) bool {
	const nix = "kedge/internal/nix"
	return p.ImportPath == nix || slices.Contains(p.Needs, nix)
}

// compile returns a directory with the packages' test programs, static, as a
// host needs them.
func compile(t *testing.T, packages []layers.TaggedPackage) (dir string) {
	t.Helper()
	dir = t.TempDir()
	args := []string{"test", "-c", "-tags=host", "-o", dir + "/"}
	for _, p := range packages {
		args = append(args, p.ImportPath)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile tests with the build tag host: %v\n%s", err, out)
	}
	return dir
}

// ended matches what a test program says when a test or subtest has ended.
var ended = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): (\S+) `)

// runOn runs the tests on m and reports each.
func runOn(t *testing.T, m *hosts.Machine, program string, tests []string) {
	t.Helper()
	there := send(t, m, program)
	// A tool that is missing there is a failure, as in CI.
	out, err := m.Run(t.Context(), "env", "CI=true", there, "-test.v", "-test.run=^("+strings.Join(tests, "|")+")$", "-test.timeout=4m")
	results := map[string]string{} // of a test with a subtest that was skipped, SKIP
	for _, match := range ended.FindAllStringSubmatch(out, -1) {
		test, _, sub := strings.Cut(match[2], "/")
		if skip := match[1] == "SKIP"; skip || !sub && results[test] != "SKIP" {
			results[test] = match[1]
		}
	}
	for _, test := range tests {
		t.Run(test, func(t *testing.T) {
			switch results[test] {
			case "PASS":
			case "SKIP":
				t.Skip("skipped there")
			case "FAIL":
				t.Error("failed there")
			default:
				t.Error("did not end there")
			}
		})
	}
	if err != nil || t.Failed() {
		t.Errorf("%v\n%s", err, out)
	}
}

// send writes a program to m, and returns where it is there.
func send(t *testing.T, m *hosts.Machine, program string) (there string) {
	t.Helper()
	content, err := os.ReadFile(program)
	must(t, err)
	there = path.Join("/root", filepath.Base(program))
	must(t, m.WriteFile(there, content, 0o755))
	return there
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// machine returns a host that has booted, the only one of a fleet.
func machine(t *testing.T, p place) *hosts.Machine {
	t.Helper()
	ctx := t.Context()
	dir, err := p.prepare(ctx, func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	network, err := hosts.New(ctx, hosts.NetworkOptions{Fleet: p.name, Rootfs: dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := network.Destroy(ctx); err != nil {
			t.Error(err)
		}
	})
	m, err := network.Machine(ctx, hosts.Options{Name: "adapter"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.AwaitBoot(ctx); err != nil {
		t.Fatal(err)
	}
	return m
}
