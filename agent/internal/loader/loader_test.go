package loader

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

const (
	provenText = "/nix/store/00000000000000000000000000000000-nixos-system-web1"
	trialText  = "/nix/store/11111111111111111111111111111111-nixos-system-web1"
)

func parse(t *testing.T, s string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A lab is the root of a host, with a stand-in for bootctl.
type lab struct {
	Loader
	t *testing.T
}

// bootctl keeps its calls in calls, prints the file list, and sets the variable
// unless the file broken is there. What is booted once is the default in the list.
const bootctl = `#!/bin/sh
cd "$ROOT" || exit 1
echo "$*" >>calls
vars=sys/firmware/efi/efivars
var=$vars/LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f
case "$1" in
list)
	if [ -e "$var" ]; then cat armed-list; else cat list || exit 1; fi
	;;
set-oneshot)
	[ ! -e broken ] || exit 0
	rm -f "$var"
	[ -n "$2" ] || exit 0
	{ printf '\007\000\000\000'; printf %s "$2" | sed 's/./&\n/g' | tr '\n' '\000'; printf '\000\000'; } >"$var"
	;;
esac
`

// newLab returns a host that systemd-boot booted, with those features.
func newLab(t *testing.T, info string, features uint64) lab {
	t.Helper()
	l := lab{t: t}
	l.Root = t.TempDir()
	l.Bootctl = filepath.Join(l.Root, "bootctl")
	l.write("bootctl", "#!/bin/sh\nROOT="+l.Root+"\n"+strings.TrimPrefix(bootctl, "#!/bin/sh\n"))
	if info != "" {
		l.variable(loaderInfo, utf16Text(info))
		l.variable(loaderFeatures, binary.LittleEndian.AppendUint64(nil, features))
	}
	l.write("list", list257)
	return l
}

func (l lab) write(name, text string) {
	l.t.Helper()
	file := filepath.Join(l.Root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		l.t.Fatal(err)
	}
}

func (l lab) variable(name string, value []byte) {
	l.t.Helper()
	l.write(variablesDir+"/"+name+vendor, "\x06\x00\x00\x00"+string(value))
}

// calls returns what bootctl was asked for since the last time.
func (l lab) calls() []string {
	l.t.Helper()
	file := filepath.Join(l.Root, "calls")
	b, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		l.t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(b), "\n"), "\n")
}

func (l lab) wantArmed(want string) {
	l.t.Helper()
	if got, err := l.Armed(l.t.Context()); err != nil || got != want {
		l.t.Errorf("armed: got %q, %v; want %q", got, err, want)
	}
}

func utf16Text(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// What bootctl prints: 257, and 252, which says of no entry that it is the
// default.
const (
	list257 = `[
	{"type":"type1","id":"nixos-generation-2.conf","options":"init=` + trialText + `/init loglevel=4","isReported":false,"triesLeft":3,"triesDone":1,"isDefault":false},
	{"type":"type1","id":"nixos-generation-2-specialisation-x.conf","options":"init=/nix/store/22222222222222222222222222222222-nixos-system-web1/init","isDefault":false},
	{"type":"type1","id":"nixos-generation-1.conf","options":"init=` + provenText + `/init","isReported":true,"isDefault":true,"isSelected":true},
	{"type":"loader","id":"auto-reboot-to-firmware-setup","isDefault":false}
]
`
	list252 = `{"id":"nixos-generation-2.conf","options":"init=` + trialText + `/init"}
{"id":"nixos-generation-1.conf","options":"init=` + provenText + `/init"}
`
)

func TestDetectSystemdBoot(t *testing.T) {
	const name = "systemd-boot 257.13"
	tests := []struct {
		name     string
		info     string
		features uint64
		list     string
		want     Support
	}{
		{"one-shot", name, 0x7f, list257, Support{Loader: name, Protection: OneShot, Asked: true}},
		{"an old one", "systemd-boot 239", 0x3, list252, Support{Loader: "systemd-boot 239", Protection: None, Reason: "systemd-boot 239 does not boot an entry once"}},
		{"that boots are counted is no protection", name, 1 << 4, list257, Support{Loader: name, Protection: None, Reason: name + " does not boot an entry once"}},
		{"another loader", "Limine 9.3", 0x7f, list257, Support{Loader: "Limine 9.3", Protection: None, Reason: "Limine 9.3 boots its default only"}},
		{"none that tells", "", 0, list257, Support{Protection: None, Reason: "the boot loader is neither systemd-boot nor GRUB, and boots its default only"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, tt.info, tt.features)
			l.write("list", tt.list)
			if diff := cmp.Diff(tt.want, l.Detect(t.Context())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDetectSystemdBootWhereVariablesCannotBeSet(t *testing.T) {
	l := newLab(t, "systemd-boot 257", 0x7f)
	l.volume = func(path string) (volume, error) {
		return volume{readOnly: path == filepath.Join(l.Root, variablesDir)}, nil
	}
	want := Support{Loader: "systemd-boot 257", Protection: None, Reason: "EFI variables are read-only here"}
	if diff := cmp.Diff(want, l.Detect(t.Context())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := l.Arm(t.Context(), parse(t, trialText)); !errors.Is(err, ErrUnprotected) {
		t.Errorf("arm: got %v, want %v", err, ErrUnprotected)
	}
}

func TestDetectProtectsNobodyWhereItCannotRead(t *testing.T) {
	tests := []struct {
		name   string
		damage func(l *lab)
		want   string // in the reason
	}{
		{"the loader's name", func(l *lab) { l.write(variablesDir+"/"+loaderInfo+vendor, "x") }, "LoaderInfo"},
		{"its features", func(l *lab) { l.variable(loaderFeatures, []byte{1}) }, "LoaderFeatures"},
		{"no bootctl", func(l *lab) { l.Bootctl = "/nonexistent" }, "/nonexistent"},
		{"bootctl fails", func(l *lab) { l.write("bootctl", "#!/bin/sh\necho no ESP >&2; exit 1\n") }, "exit status 1: no ESP"},
		{"bootctl prints something else", func(l *lab) { l.write("list", "entries:") }, "invalid character"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, "systemd-boot 257", 0x7f)
			tt.damage(&l)
			if got := l.Detect(t.Context()); got.Protection != None || !strings.Contains(got.Reason, tt.want) {
				t.Errorf("got %+v, want none and %q in the reason", got, tt.want)
			}
			if err := l.Arm(t.Context(), parse(t, trialText)); !errors.Is(err, ErrUnprotected) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("arm: got %v, want %v and %q", err, ErrUnprotected, tt.want)
			}
			if err := l.Disarm(t.Context()); err != nil {
				t.Errorf("disarm: %v", err)
			}
			l.wantArmed("")
		})
	}
}

func TestArmSystemdBoot(t *testing.T) {
	for name, list := range map[string]string{"257": list257, "252": list252} {
		t.Run("bootctl "+name, func(t *testing.T) {
			l := newLab(t, "systemd-boot 257", 0x7f)
			l.write("list", list)
			l.write("armed-list", strings.ReplaceAll(list, `"isDefault":false`, `"isDefault":true`))
			for range 2 {
				if err := l.Arm(t.Context(), parse(t, trialText)); err != nil {
					t.Fatal(err)
				}
				l.wantArmed("nixos-generation-2.conf")
			}
			for range 2 {
				if err := l.Disarm(t.Context()); err != nil {
					t.Fatal(err)
				}
				l.wantArmed("")
			}
		})
	}
}

// TestDisarmWhereNothingElseWorks checks that what was armed is taken back, or said
// not to be, although the loader could not be armed any more.
func TestDisarmWhereNothingElseWorks(t *testing.T) {
	t.Run("systemd-boot", func(t *testing.T) {
		l := newLab(t, "systemd-boot 257", 0x7f)
		if err := l.Arm(t.Context(), parse(t, trialText)); err != nil {
			t.Fatal(err)
		}
		l.write("armed-list", "the boot partition is not mounted")
		if err := l.Disarm(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.wantArmed("") // it can be listed again
		if got := l.calls(); !slices.Contains(got[4:], "set-oneshot ") {
			t.Errorf("bootctl was asked for %q after it was armed", got[4:])
		}
	})
	t.Run("GRUB", func(t *testing.T) {
		l := newGRUBLab(t)
		if err := l.Arm(t.Context(), parse(t, trialText)); err != nil {
			t.Fatal(err)
		}
		menu := filepath.Join(l.Root, "boot/grub/grub.cfg")
		if err := os.WriteFile(menu, []byte("# somebody else's"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.Disarm(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := l.environment(); strings.Contains(got, "next_entry") {
			t.Errorf("grubenv is %q", got)
		}
	})
	t.Run("nothing at all", func(t *testing.T) {
		l := newLab(t, "systemd-boot 257", 0x7f)
		if err := l.Arm(t.Context(), parse(t, trialText)); err != nil {
			t.Fatal(err)
		}
		l.write("bootctl", "#!/bin/sh\nexit 1\n")
		if err := l.Disarm(t.Context()); err == nil {
			t.Error("no error")
		}
	})
}

func TestArmSystemdBootLooksAtTheDefaultFirst(t *testing.T) {
	l := newLab(t, "systemd-boot 257", 0x7f)
	if err := l.Arm(t.Context(), parse(t, trialText)); err != nil {
		t.Fatal(err)
	}
	want := []string{"list --json=short", "set-oneshot ", "list --json=short", "set-oneshot nixos-generation-2.conf"}
	if diff := cmp.Diff(want, l.calls()); diff != "" {
		t.Errorf("bootctl (-want +got):\n%s", diff)
	}
}

func TestArmSystemdBootRefuses(t *testing.T) {
	byPattern := strings.ReplaceAll(list257, `"triesDone":1,"isDefault":false`, `"triesDone":1,"isDefault":true`)
	tests := []struct {
		name     string
		toplevel string
		list     string
		want     error
	}{
		{"a system without an entry", "/nix/store/33333333333333333333333333333333-nixos-system-web1", list257, ErrNoEntry},
		{"a specialisation of another one does not count", trialText, strings.ReplaceAll(list257, trialText+"/init", trialText+"/specialisation/x/init"), ErrNoEntry},
		{"the default", provenText, list257, ErrDefault},
		{"what a pattern made the default", trialText, byPattern, ErrDefault},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, "systemd-boot 257", 0x7f)
			l.write("list", tt.list)
			if err := l.Arm(t.Context(), parse(t, tt.toplevel)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			l.wantArmed("")
		})
	}
}

func TestArmSystemdBootReadsBack(t *testing.T) {
	l := newLab(t, "systemd-boot 257", 0x7f)
	l.write("broken", "")
	if err := l.Arm(t.Context(), parse(t, trialText)); err == nil || !strings.Contains(err.Error(), "the firmware did not keep it") {
		t.Errorf("got %v", err)
	}
}

func TestCounted(t *testing.T) {
	l := newLab(t, "systemd-boot 257", 0x7f)
	if counted, err := l.Counted(); err != nil || counted {
		t.Errorf("got %t, %v, want false", counted, err)
	}
	l.variable(countPath, utf16Text(`\loader\entries\nixos-generation-2+2-1.conf`))
	if counted, err := l.Counted(); err != nil || !counted {
		t.Errorf("got %t, %v, want true", counted, err)
	}
}

func TestArmEndsWithItsContext(t *testing.T) {
	l := newLab(t, "systemd-boot 257", 0x7f)
	l.write("bootctl", "#!/bin/sh\n[ \"$1\" != set-oneshot ] || exec sleep 3600\ncat "+l.Root+"/list\n")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := l.Arm(ctx, parse(t, trialText)); err == nil || ctx.Err() == nil {
		t.Errorf("got %v", err)
	}
}
