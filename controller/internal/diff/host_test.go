//go:build host

package diff

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/nix"
	"kedge/proto"
)

// This test runs the real Nix in whatever system it is started in, which must be a
// test host or a chroot of one.

// systems are two closures, with what Nix's own documentation has, and names that are
// split in odd places.
const systems = `
let
  make = name: size: deps: derivation {
    inherit name deps; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" "PATH=/usr/bin:/bin; mkdir $out; echo $deps @NOW@ > $out/deps; head -c ${toString size} /dev/zero > $out/data" ];
  };
  system = name: packages: make name 10 (map (p: make p.n (p.s or 100) [ ]) packages);
in {
  before = system "system-1" [
    { n = "bash-5.2p26"; } { n = "bash-5.2p26-man"; } { n = "nginx-1.27.0"; } { n = "perl5.38.2-URI-5.21"; }
    { n = "etc-nginx.conf"; s = 100; } { n = "grows"; s = 100; } { n = "grows-a-little"; s = 100; } { n = "python3-3.11.9"; } { n = "python3-3.12.4"; }
    { n = "glibc-2.39-52-lib32"; } { n = "foo-unstable-2024-01-01"; } { n = "gone"; } { n = "linux-6.12.1-modules-shrunk"; s = 90000; }
  ];
  after = system "system-2" [
    { n = "bash-5.2p37"; } { n = "bash-5.2p37-man"; } { n = "nginx-1.26.1"; } { n = "perl5.38.2-URI-5.21"; }
    { n = "etc-nginx.conf"; s = 99; } { n = "grows"; s = 90000; } { n = "grows-a-little"; s = 101; } { n = "python3-3.12.4"; }
    { n = "glibc-2.40-36-lib32"; } { n = "foo-unstable-2024-02-01"; } { n = "comes-1"; } { n = "linux-6.12.8-modules-shrunk"; }
  ];
}`

func TestBetweenSaysWhatNixSays(t *testing.T) {
	cli := &nix.CLI{}
	text := strings.ReplaceAll(systems, "@NOW@", time.Now().Format(time.RFC3339Nano))
	var toplevels []proto.StorePath
	var closures []proto.Closure
	for _, name := range []string{"before", "after"} {
		out, err := exec.CommandContext(t.Context(), "nix-build", "--no-out-link", "-E", text, "-A", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		p, err := proto.ParseStorePath(strings.TrimSpace(string(out)))
		if err != nil {
			t.Fatal(err)
		}
		c, err := cli.Closure(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		toplevels, closures = append(toplevels, p), append(closures, c)
	}
	cmd := exec.CommandContext(t.Context(), "nix", "--extra-experimental-features", "nix-command", "store", "diff-closures", toplevels[0].String(), toplevels[1].String())
	cmd.Env = append(cmd.Environ(), "NO_COLOR=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(out)) {
		want = append(want, plain(line))
	}
	var got []string
	for _, p := range Between(toplevels[0], toplevels[1], closures[0], closures[1]).Packages {
		got = append(got, shown(p))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 10 {
		t.Errorf("changes (-Nix +ours):\n%s", diff)
	}
}

// plain returns a line without colours, the blanks at its end, and the plus that not
// every Nix writes.
func plain(line string) string {
	for _, code := range []string{"\x1b[31;1m", "\x1b[32;1m", "\x1b[0m"} {
		line = strings.ReplaceAll(line, code, "")
	}
	return strings.TrimSpace(strings.ReplaceAll(line, " +", " "))
}

// shown is a package as Nix shows it.
func shown(p proto.PackageChange) string {
	var items []string
	if len(p.From) > 0 || len(p.To) > 0 {
		items = append(items, list(p.From)+" → "+list(p.To))
	}
	if max(p.Size, -p.Size) >= minSize {
		items = append(items, fmt.Sprintf("%.1f KiB", float64(p.Size)/1024))
	}
	return p.Name + ": " + strings.Join(items, ", ")
}

func list(versions []string) string {
	if len(versions) == 0 {
		return "∅"
	}
	var shown []string
	for _, v := range versions {
		if v == "" {
			v = "ε"
		}
		shown = append(shown, v)
	}
	return strings.Join(shown, ", ")
}
