package nix

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

func exampleSSHStore() SSHStore {
	return SSHStore{URL: "ssh-ng://builder@big.example:2222", KeyFile: "/run/keys/build", KnownHostsFile: "/etc/known"}
}

// TestRemoteBuildsThere has web1 here already, and db1 not.
func TestRemoteBuildsThere(t *testing.T) {
	web1, db1 := parsePath(t, "/nix/store/00000000000000000000000000000000-web1"), parsePath(t, "/nix/store/11111111111111111111111111111111-db1")
	web1drv, db1drv := parsePath(t, web1.String()+".drv"), parsePath(t, db1.String()+".drv")
	o := RealiseOptions{Derivations: []proto.StorePath{web1drv, db1drv}, Outputs: []proto.StorePath{web1, db1}, KeepGoing: true, CopyTo: "file:///c"}
	const (
		options = "--option log-lines 20 --option extra-experimental-features nix-command --option max-jobs 3"
		copying = "nix copy --from ssh-ng://builder@big.example --eval-store auto --no-check-sigs"
		asking  = "nix-store --check-validity --print-invalid --option max-jobs 3"
		there   = asking + " --option store ssh-ng://builder@big.example -- "
	)
	for name, tt := range map[string]struct {
		script string // of Nix
		want   []string
		lost   bool
		fails  bool
	}{
		"all is here": {
			"", []string{asking + " -- " + web1.String() + " " + db1.String()}, false, false,
		},
		"one is built": {
			`case "$*" in *" store ssh"*) ;; *check-validity*) echo ` + db1.String() + `;; esac; test "$1" != copy || echo "$NIX_SSHOPTS" >&2`,
			[]string{
				asking + " -- " + web1.String() + " " + db1.String(),
				copying + " --keep-going " + options + " -- " + db1drv.String() + "^out",
			},
			false, false,
		},
		"one fails, the other is brought": {
			`case "$*" in *" store ssh"*) echo ` + db1.String() + `;; *check-validity*) echo ` + web1.String() + "; echo " + db1.String() + `;; *drv*) echo "error: builder failed" >&2; exit 1;; esac`,
			[]string{
				asking + " -- " + web1.String() + " " + db1.String(),
				copying + " --keep-going " + options + " -- " + web1drv.String() + "^out " + db1drv.String() + "^out",
				there + web1.String() + " " + db1.String(),
				copying + " --keep-going " + options + " -- " + web1.String(),
			},
			false, true,
		},
		"it is not there": {
			`case "$*" in *check-validity*) echo ` + db1.String() + `;; *) echo "ssh: connect to host big.example port 22: Connection refused
error: failed to start SSH connection to 'big.example'" >&2; exit 1;; esac`,
			[]string{
				asking + " -- " + web1.String() + " " + db1.String(),
				copying + " --keep-going " + options + " -- " + db1drv.String() + "^out",
			},
			true, true,
		},
		"SSH said it of a builder, long before": {
			`case "$*" in *check-validity*) echo ` + db1.String() + `;; *) echo "failed to start SSH connection to 'forge'" >&2
       yes "error: 1 dependencies of derivation 'x' failed to build" | head -n 1000 >&2; exit 1;; esac`,
			[]string{
				asking + " -- " + web1.String() + " " + db1.String(),
				copying + " --keep-going " + options + " -- " + db1drv.String() + "^out",
				there + db1.String(),
			},
			false, true,
		},
		"a builder says what SSH says": {
			`case "$*" in *check-validity*) echo ` + db1.String() + `;; *) echo "error: builder for 'x' failed;
       > failed to start SSH connection to 'forge'" >&2; exit 1;; esac`,
			[]string{
				asking + " -- " + web1.String() + " " + db1.String(),
				copying + " --keep-going " + options + " -- " + db1drv.String() + "^out",
				there + db1.String(),
			},
			false, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, calls := fakeNix(t, tt.script)
			c.Settings = []Setting{{"max-jobs", "3"}}
			r := &Remote{CLI: c, Host: exampleSSHStore()}
			err := r.Realise(t.Context(), o)
			if (err != nil) != tt.fails || errors.Is(err, ErrUnreachable) != tt.lost {
				t.Errorf("error = %v, want one: %v, for an unreachable host: %v", err, tt.fails, tt.lost)
			}
			if diff := cmp.Diff(tt.want, calls()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// TestABuildThatIsStoppedHasNotLostItsHost: SSH is stopped with Nix, which tells of that.
func TestABuildThatIsStoppedHasNotLostItsHost(t *testing.T) {
	failed := &CommandError{Args: []string{"nix", "copy"}, ExitCode: 1, Stderr: "error: Nix daemon disconnected unexpectedly (maybe it crashed?)\n", Err: errors.New("no end within 1h0m0s")}
	r := &Remote{CLI: &CLI{}, Host: exampleSSHStore()}
	if err := r.lost(failed); errors.Is(err, ErrUnreachable) {
		t.Errorf("stopped: got %v, want what stopped it alone", err)
	}
	failed.Err = &exec.ExitError{}
	if err := r.lost(failed); !errors.Is(err, ErrUnreachable) {
		t.Errorf("failed: got %v, want %v", err, ErrUnreachable)
	}
}

func TestSSHAsksNobody(t *testing.T) {
	got := strings.Join(exampleSSHStore().environ(), "")
	for _, want := range []string{
		"NIX_SSHOPTS=", "-o BatchMode=yes", "-o StrictHostKeyChecking=yes", "-o ConnectTimeout=15", "-p 2222",
		"-i /run/keys/build -o IdentitiesOnly=yes", "-o GlobalKnownHostsFile=/dev/null -o UserKnownHostsFile=/etc/known",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

func TestSSHStoreProblems(t *testing.T) {
	if problems := exampleSSHStore().Problems(); len(problems) > 0 {
		t.Errorf("a good one: %v", problems)
	}
	for name, tt := range map[string]struct {
		host SSHStore
		want string
	}{
		"another protocol":  {SSHStore{URL: "ssh://big"}, "URL: must be like"},
		"an option for SSH": {SSHStore{URL: "ssh-ng://-oProxyCommand=id"}, "URL: must be like"},
		"a password":        {SSHStore{URL: "ssh-ng://u:secret@big"}, "URL: must not hold a password"},
		"a relative key":    {SSHStore{URL: "ssh-ng://big", KeyFile: "key"}, "KeyFile: must be an absolute path"},
		"blanks":            {SSHStore{URL: "ssh-ng://big", KnownHostsFile: "/a -oProxyCommand=id"}, "KnownHostsFile: must be an absolute path"},
	} {
		problems := tt.host.Problems()
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), tt.want) || strings.Contains(problems[0].Error(), "secret") {
			t.Errorf("%s: got %v, want %q", name, problems, tt.want)
		}
	}
}

func TestNoBuilder(t *testing.T) {
	for text, want := range map[string]bool{
		"a 'aarch64-linux' with features {} is required to build '/nix/store/x.drv', but I am a 'x86_64-linux'":                     true,
		"Cannot build '/nix/store/x.drv'.\nReason: platform mismatch\nRequired system: 'aarch64-linux'":                             true,
		"Cannot build '/nix/store/x.drv'.\nReason: required system or feature not available\nRequired system: 'x' with features {}": true,
		"builder for '/nix/store/x.drv' failed with exit code 1":                                                                    false,
	} {
		if got := NoBuilder(errors.New(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
