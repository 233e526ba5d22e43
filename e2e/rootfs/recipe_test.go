package rootfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKeyIsStableAndNamesTheSuite(t *testing.T) {
	if first, second := key(), key(); first != second || !strings.HasPrefix(first, "trixie-") {
		t.Errorf("key() = %q, then %q, want the same one twice, with the suite", first, second)
	}
}

func TestDroppedPatternsAreValid(t *testing.T) {
	for _, pattern := range dropped() {
		if _, err := filepath.Match(pattern, ""); err != nil || strings.Contains(pattern, "[!") {
			t.Errorf("pattern %q: %v; filepath.Match negates with [^", pattern, err)
		}
	}
}

func TestNothingNeededIsDropped(t *testing.T) {
	const units = "usr/lib/systemd/system/"
	for _, name := range []string{
		units + "sysinit.target.wants/systemd-journald.service",
		units + "sysinit.target.wants/systemd-journal-flush.service",
		units + "sysinit.target.wants/systemd-sysctl.service",
		units + "sysinit.target.wants/systemd-tmpfiles-setup.service",
		units + "sockets.target.wants/dbus.socket",
		units + "sockets.target.wants/systemd-journald.socket",
		units + "sockets.target.wants/systemd-journald-dev-log.socket",
		units + "multi-user.target.wants/dbus.service",
		units + "multi-user.target.wants/systemd-user-sessions.service",
	} {
		for _, pattern := range dropped() {
			if matched, _ := filepath.Match(pattern, name); matched {
				t.Errorf("pattern %q drops %s", pattern, name)
			}
		}
	}
}

func TestFileNames(t *testing.T) {
	embedded := tree{files, "files"}
	for _, want := range []string{"usr/sbin/e2e-firmware", "usr/sbin/bootctl", "etc/nix/nix.conf"} {
		if !slices.Contains(embedded.names(), want) || len(embedded.content(want)) == 0 {
			t.Errorf("the embedded files lack %s: %v", want, embedded.names())
		}
	}
}

func TestMissingPackages(t *testing.T) {
	has := func(programs ...string) func(string) (string, error) {
		return func(program string) (string, error) {
			if slices.Contains(programs, program) {
				return "/usr/bin/" + program, nil
			}
			return "", exec.ErrNotFound
		}
	}
	got := missingPackages(tools(), has("nft", "nsenter", "unshare", "systemd-nspawn", "mkfs.ext4"))
	if diff := cmp.Diff([]string{"debootstrap", "iproute2"}, got); diff != "" {
		t.Errorf("missingPackages (-want +got):\n%s", diff)
	}
	if got := missingPackages(tools(), func(string) (string, error) { return "", errors.ErrUnsupported }); len(got) != 6 {
		t.Errorf("with no program there, missingPackages = %v, want all 6", got)
	}
}

func TestFindTakesAWholePathOfAnyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "firmware")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := find(file); err != nil {
		t.Errorf("find of a file that is there = %v", err)
	}
	if _, err := find(file + "-not"); err == nil {
		t.Error("find of a file that is not there finds it")
	}
}

func TestProgressSpeaksNowAndThen(t *testing.T) {
	var said []string
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := newProgress(func(line string) { said = append(said, line) }, func() time.Time { return now })
	p.begin("installing")
	for range 12 {
		now = now.Add(time.Second)
		p.line("I: Retrieving bash 5.2")
		p.line("Setting up bash")
	}
	want := []string{
		"root file system: installing (once; kept in /var/cache/kedge-e2e)",
		"root file system: installing: 5 fetched, 4 steps of unpacking and configuring done, 5 s so far",
		"root file system: installing: 10 fetched, 9 steps of unpacking and configuring done, 10 s so far",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("progress said (-want +got):\n%s", diff)
	}
}
