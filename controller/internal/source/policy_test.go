package source_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/source"
	"kedge/proto"
)

// signer makes an SSH key, and has o sign with it. It returns what an allowed
// signers file says of it.
func signer(t *testing.T, o *origin) string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	o.git("config", "gpg.format", "ssh")
	o.git("config", "user.signingkey", key)
	o.git("config", "commit.gpgsign", "true")
	return "x@example.org " + string(public)
}

func admit(t *testing.T, r repository, base proto.Revision) error {
	t.Helper()
	revision := check(t, r)
	if err := r.Fetch(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	_, err := r.Admit(t.Context(), base, revision)
	return err
}

// TestASignatureIsOfWhatIsThere: a repository on this machine may have another file in
// the place of one that was signed, which git notices only when it fetches it.
func TestASignatureIsOfWhatIsThere(t *testing.T) {
	o := newOrigin(t)
	file := filepath.Join(t.TempDir(), "allowed")
	writeFile(t, file, signer(t, o))
	revision := o.commit("flake.nix", "{ }")
	object := func(name string) string {
		id := o.git("rev-parse", "HEAD:"+name)
		return filepath.Join(o.dir, ".git", "objects", id[:2], id[2:])
	}
	at := object("flake.nix")
	o.commit("evil", "{ outputs = evil; }")
	evil, err := os.ReadFile(object("evil"))
	if err != nil {
		t.Fatal(err)
	}
	removeAll(t, at)
	writeFile(t, at, string(evil))
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Policy: source.Policy{Signers: source.Signers{SSH: file}}})
	if err := r.Fetch(t.Context(), revision); !errors.Is(err, source.ErrUnreachable) {
		t.Errorf("got error %v, want ErrUnreachable", err)
	}
}

func TestEveryCommitIsSigned(t *testing.T) {
	for name, o := range map[string]*origin{"borrowed": newOrigin(t), "fetched": newRemoteOrigin(t)} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "allowed")
			before := o.commit("flake.nix", "{ }") // from before signatures were wanted
			writeFile(t, file, signer(t, o))
			r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Policy: source.Policy{Signers: source.Signers{SSH: file}}})
			if err := admit(t, r, before); err != nil {
				t.Errorf("what is deployed: %v; nothing came after it", err)
			}
			if err := admit(t, r, proto.Revision{}); !errors.Is(err, source.ErrUnsigned) {
				t.Errorf("the same as the first: got error %v, want ErrUnsigned", err)
			}
			base := o.commit("a", "1")
			if err := admit(t, r, proto.Revision{}); err != nil {
				t.Errorf("the first: %v; the newest commit is signed", err)
			}
			o.commit("a", "2")
			if err := admit(t, r, base); err != nil {
				t.Errorf("a signed one: %v", err)
			}

			o.git("config", "commit.gpgsign", "false")
			bad := o.commit("a", "3")
			want := bad.String()[:10] + " by x <x@example.org>"
			if err := admit(t, r, base); !errors.Is(err, source.ErrUnsigned) || !strings.Contains(err.Error(), want) {
				t.Errorf("an unsigned one: got error %v, want ErrUnsigned for %q", err, want)
			}
			o.git("config", "commit.gpgsign", "true")
			o.git("revert", "--no-edit", bad.String())
			if err := admit(t, r, base); !errors.Is(err, source.ErrUnsigned) || !strings.Contains(err.Error(), want) {
				t.Errorf("an unsigned one in between: got error %v, want ErrUnsigned for %q", err, want)
			}
			o.git("reset", "--quiet", "--hard", base.String())
			o.commit("a", "4")
			if err := admit(t, r, base); err != nil {
				t.Errorf("without the unsigned one: %v", err)
			}

			signer(t, o) // a stranger
			o.commit("a", "5")
			if err := admit(t, r, base); !errors.Is(err, source.ErrUnsigned) {
				t.Errorf("a stranger's: got error %v, want ErrUnsigned", err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := admit(t, r, base); err == nil || !strings.Contains(err.Error(), "signatures.allowed_signers_file: open "+file) {
				t.Errorf("without the file: got error %v, want one that names it", err)
			}
		})
	}
}

func TestAForcePushIsRefused(t *testing.T) {
	o := newRemoteOrigin(t)
	first := o.commit("flake.nix", "{ }")
	base := o.commit("a", "1")
	plain := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
	dir := t.TempDir()
	shallow := newRepository(t, source.Options{URL: o.dir, Branch: "main", Dir: dir})
	checkout(t, shallow, base) // from before there was a policy
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Dir: dir, Policy: source.Policy{RefuseForcePush: true}})
	if err := admit(t, r, proto.Revision{}); err != nil {
		t.Errorf("the first: %v", err)
	}
	o.commit("a", "2")
	if err := admit(t, r, base); err != nil {
		t.Errorf("a push: %v", err)
	}
	o.git("reset", "--quiet", "--hard", first.String())
	if err := admit(t, r, base); err != nil {
		t.Errorf("back to an older one: %v", err)
	}
	over := o.commit("a", "3")
	if err := admit(t, r, base); !errors.Is(err, source.ErrForcePushed) || !strings.Contains(err.Error(), over.Short()) {
		t.Errorf("a force-push: got error %v, want ErrForcePushed", err)
	}
	if err := admit(t, plain, base); err != nil {
		t.Errorf("a force-push without a policy: %v", err)
	}
	o.git("merge", "--quiet", "--strategy=ours", "--no-edit", base.String())
	if err := admit(t, r, base); err != nil {
		t.Errorf("what was deployed, merged: %v", err)
	}
}

// TestAHistoryMayTakeItsTime: it is fetched whole the first time, or never.
func TestAHistoryMayTakeItsTime(t *testing.T) {
	o := newRemoteOrigin(t)
	state, bin := t.TempDir(), t.TempDir()
	checkout(t, newRepository(t, source.Options{URL: o.dir, Branch: "main", Dir: state}), o.commit("flake.nix", "{ }"))
	second := o.commit("a", "1")
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\nexec sleep 600\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for want, policy := range map[string]source.Policy{"no end within 100ms": {}, "no end within 1.5s": {RefuseForcePush: true}} {
		r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Dir: state, Policy: policy, Timeout: 100 * time.Millisecond})
		if err := r.Fetch(t.Context(), second); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q", err, want)
		}
	}
}

// TestADeployedRevisionThatIsLost: our copy is a new one, and the branch was pushed
// over.
func TestADeployedRevisionThatIsLost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "allowed")
	o := newRemoteOrigin(t)
	start := o.commit("flake.nix", "{ }") // not signed
	writeFile(t, file, signer(t, o))
	base := o.commit("a", "1")
	policy := source.Policy{Signers: source.Signers{SSH: file}}
	fresh := func(t *testing.T) repository {
		t.Helper()
		return newRepository(t, source.Options{URL: o.dir, Branch: "main", Policy: policy})
	}
	state := t.TempDir()
	ours := newRepository(t, source.Options{URL: o.dir, Branch: "main", Dir: state, Policy: policy})
	if err := admit(t, ours, base); err != nil {
		t.Fatal(err)
	}
	o.git("reset", "--quiet", "--hard", start.String())
	o.git("config", "commit.gpgsign", "false")
	unsigned := o.commit("a", "unsigned")
	o.git("config", "commit.gpgsign", "true")
	o.commit("a", "signed on top of it")
	if err := admit(t, fresh(t), base); !errors.Is(err, source.ErrUnsigned) || !strings.Contains(err.Error(), unsigned.String()[:10]) {
		t.Errorf("while the repository still has it: got error %v, want ErrUnsigned for %s", err, unsigned.Short())
	}
	if err := admit(t, ours, base); !errors.Is(err, source.ErrUnsigned) {
		t.Errorf("our copy, which has it: got error %v, want ErrUnsigned", err)
	}

	(&origin{t, filepath.Join(state, "mirror")}).git("gc", "--quiet", "--prune=now")
	o.git("reflog", "expire", "--expire=now", "--all")
	o.git("prune", "--expire=now")
	for name, r := range map[string]repository{"a new copy": fresh(t), "ours": ours} {
		if err := admit(t, r, base); !errors.Is(err, source.ErrUnsigned) {
			t.Errorf("%s, once it is gone: got error %v, want ErrUnsigned", name, err)
		}
	}
	o.git("reset", "--quiet", "--hard", start.String())
	o.commit("a", "signed")
	err := admit(t, fresh(t), base)
	if !errors.Is(err, source.ErrUnsigned) || !strings.Contains(err.Error(), start.String()[:10]) || !strings.Contains(err.Error(), "has not "+base.Short()+" any more") {
		t.Errorf("a new copy, and nothing else unsigned than what came before: got error %v, want ErrUnsigned for %s, and why", err, start.Short())
	}
	if err := admit(t, ours, base); err != nil {
		t.Errorf("our copy, which has it: %v", err)
	}

	o.git("checkout", "--quiet", "--orphan", "anew")
	o.git("commit", "--quiet", "--message=anew")
	o.git("branch", "--quiet", "--force", "main")
	if err := admit(t, fresh(t), base); err != nil {
		t.Errorf("a new copy, and a branch whose commits are all signed: %v", err)
	}
}

// TestAForcePushThatIsAcceptedIsToldOf: whatever there is of the history.
func TestAForcePushThatIsAcceptedIsToldOf(t *testing.T) {
	for name, o := range map[string]*origin{"borrowed": newOrigin(t), "fetched": newRemoteOrigin(t)} {
		t.Run(name, func(t *testing.T) {
			over := func(r repository, base proto.Revision) bool {
				t.Helper()
				revision := check(t, r)
				if err := r.Fetch(t.Context(), revision); err != nil {
					t.Fatal(err)
				}
				over, err := r.Admit(t.Context(), base, revision)
				if err != nil {
					t.Fatal(err)
				}
				return over
			}
			first := o.commit("flake.nix", "{ }")
			r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
			if over(r, proto.Revision{}) || over(r, first) {
				t.Error("the first is told to have been pushed over something")
			}
			o.commits(60)
			many := o.commit("a", "1")
			if over(r, first) {
				t.Error("a push of more commits than are fetched is told to be a force-push")
			}
			o.git("reset", "--quiet", "--hard", "HEAD~3")
			if over(r, many) {
				t.Error("going back is told to be a force-push")
			}
			o.commit("a", "2")
			if !over(r, many) {
				t.Error("a force-push is not told of")
			}
			fresh := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
			if over(fresh, first) {
				t.Error("a push is told to be a force-push where our copy is a new one")
			}
			if fresh = newRepository(t, source.Options{URL: o.dir, Branch: "main"}); !over(fresh, many) {
				t.Error("a force-push is not told of where our copy is a new one")
			}
		})
	}
}
