package source_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kedge/controller/internal/source"
)

// gnupg is the home of somebody who signs with OpenPGP.
type gnupg struct {
	t   *testing.T
	dir string
}

func newGnuPG(t *testing.T) *gnupg {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("gpg is not on PATH")
		}
		t.Skip("gpg is not on PATH; it is in the dev shell")
	}
	dir, err := os.MkdirTemp("", "gnupg") //nolint:usetesting // the socket of its agent is in there, whose name must be short
	if err != nil {
		t.Fatal(err)
	}
	g := &gnupg{t, dir}
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--homedir", dir, "--kill", "gpg-agent")
		if err := errors.Join(cmd.Run(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return g
}

// run runs gpg and returns what it writes.
func (g *gnupg) run(args ...string) string {
	g.t.Helper()
	cmd := exec.Command("gpg", append([]string{"--homedir", g.dir, "--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("gpg %v: %v\n%s", args, err, &stderr)
	}
	return string(out)
}

// key makes a key and returns its fingerprint.
func (g *gnupg) key(name string, flags ...string) source.Fingerprint {
	g.t.Helper()
	g.run(append(flags, "--quick-generate-key", name+" <"+name+"@example.org>", "ed25519", "sign", "0")...)
	for line := range strings.Lines(g.run("--with-colons", "--fingerprint", name+"@example.org")) {
		if f := strings.Split(line, ":"); f[0] == "fpr" {
			return source.Fingerprint(f[9])
		}
	}
	g.t.Fatalf("gpg made no key for %s", name)
	return ""
}

// signs has o sign what it commits with a key.
func (g *gnupg) signs(o *origin, key source.Fingerprint) {
	g.t.Helper()
	g.t.Setenv("GNUPGHOME", g.dir)
	o.git("config", "gpg.format", "openpgp")
	o.git("config", "user.signingkey", string(key)+"!")
	o.git("config", "commit.gpgsign", "true")
}

// TestOpenPGPSignatures: of keys that are in the file, are listed, and are good today.
func TestOpenPGPSignatures(t *testing.T) {
	g := newGnuPG(t)
	o := newRemoteOrigin(t)
	base := o.commit("flake.nix", "{ }")
	file := filepath.Join(t.TempDir(), "keys")
	alice, bob := g.key("alice"), g.key("bob", "--faked-system-time", "20190101T000000")
	unlisted, unknown := g.key("unlisted"), g.key("unknown")
	export := func(keys ...source.Fingerprint) {
		args := []string{"--armor", "--output", file, "--export", string(alice)}
		for _, k := range keys {
			args = append(args, string(k))
		}
		g.run(args...)
	}
	export(bob, unlisted)
	state := t.TempDir()
	signers := source.Signers{GPG: file, Fingerprints: []source.Fingerprint{alice, bob, unknown}}
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Dir: state, Policy: source.Policy{Signers: signers}})
	refused := func(t *testing.T, who, want string) {
		t.Helper()
		before := o.git("rev-parse", "HEAD~1")
		if err := admit(t, r, base); !errors.Is(err, source.ErrUnsigned) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want ErrUnsigned with %q", who, err, want)
		}
		o.git("reset", "--quiet", "--hard", before)
	}
	for _, key := range []source.Fingerprint{alice, bob} {
		g.signs(o, key)
		o.commit("a", string(key))
	}
	if err := admit(t, r, base); err != nil {
		t.Errorf("of two signers: %v", err)
	}
	if _, err := os.Stat(filepath.Join(state, "gnupg")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("gpg's home was left behind: %v", err)
	}

	g.signs(o, unlisted)
	o.commit("a", "unlisted")
	refused(t, "a key that is not listed", string(unlisted))
	g.signs(o, unknown)
	o.commit("a", "unknown")
	refused(t, "a key that is not in the file", "of no key in signatures.gpg_keys_file")
	g.signs(o, alice)
	o.git("config", "commit.gpgsign", "false")
	unsigned := o.commit("a", "unsigned")
	refused(t, "no signature", unsigned.String()[:10]+" by x <x@example.org>: it has no signature")
	o.git("config", "commit.gpgsign", "true")
	o.commit("a", "good")
	forged := strings.Replace(o.git("cat-file", "commit", "HEAD"), "\n\nx", "\n\ny", 1) + "\n"
	writeFile(t, filepath.Join(o.dir, "forged"), forged)
	o.git("reset", "--quiet", "--hard", o.git("hash-object", "-t", "commit", "-w", "forged"))
	refused(t, "the signature of another commit", "its signature is bad")
	signer(t, o) // by SSH, which nobody may here
	o.commit("a", "ssh")
	refused(t, "a signature of SSH", "signature")

	o.git("config", "commit.gpgsign", "false")
	g.run("--faked-system-time", "20190601T000000", "--quick-set-expire", string(bob), "20190701T000000")
	export(bob)
	if err := admit(t, r, base); !errors.Is(err, source.ErrUnsigned) || !strings.Contains(err.Error(), "which has expired") {
		t.Errorf("a key that has expired: got error %v, want ErrUnsigned for that", err)
	}
	g.run("--faked-system-time", "20190701T000000", "--quick-set-expire", string(bob), "0")
	export(bob)
	if err := admit(t, r, base); err != nil {
		t.Errorf("a key whose time was made longer: %v", err)
	}
	certificate, err := os.ReadFile(filepath.Join(g.dir, "openpgp-revocs.d", string(bob)+".rev"))
	if err != nil {
		t.Fatal(err)
	}
	revocation := filepath.Join(t.TempDir(), "revocation")
	writeFile(t, revocation, strings.Replace(string(certificate), "\n:-----BEGIN", "\n-----BEGIN", 1))
	g.run("--import", revocation)
	export(bob)
	if err := admit(t, r, base); !errors.Is(err, source.ErrUnsigned) || !strings.Contains(err.Error(), "which is revoked") {
		t.Errorf("a key that is revoked: got error %v, want ErrUnsigned for that", err)
	}

	writeFile(t, file, "no key")
	if err := admit(t, r, base); err == nil || errors.Is(err, source.ErrUnsigned) || !strings.Contains(err.Error(), "signatures.gpg_keys_file: gpg --import "+file) {
		t.Errorf("a file without a key: got error %v, want one that names it", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := admit(t, r, base); err == nil || !strings.Contains(err.Error(), "signatures.gpg_keys_file: stat "+file) {
		t.Errorf("without the file: got error %v, want one that names it", err)
	}
}

// TestEitherKindOfSignatureCounts where both are configured.
func TestEitherKindOfSignatureCounts(t *testing.T) {
	g := newGnuPG(t)
	o := newRemoteOrigin(t)
	base := o.commit("flake.nix", "{ }")
	keys, allowed := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "allowed")
	alice, stranger := g.key("alice"), g.key("stranger")
	g.run("--output", keys, "--export", string(alice))
	writeFile(t, allowed, signer(t, o))
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Policy: source.Policy{
		Signers: source.Signers{SSH: allowed, GPG: keys, Fingerprints: []source.Fingerprint{alice}},
	}})
	o.commit("a", "ssh")
	g.signs(o, alice)
	good := o.commit("a", "openpgp")
	if err := admit(t, r, base); err != nil {
		t.Errorf("one of each: %v", err)
	}
	for name, sign := range map[string]func(){
		"a stranger's by OpenPGP": func() { g.signs(o, stranger) },
		"a stranger's by SSH":     func() { signer(t, o) },
		"none":                    func() { o.git("config", "commit.gpgsign", "false") },
	} {
		sign()
		o.commit("a", name)
		if err := admit(t, r, base); !errors.Is(err, source.ErrUnsigned) {
			t.Errorf("%s: got error %v, want ErrUnsigned", name, err)
		}
		o.git("reset", "--quiet", "--hard", good.String())
	}
}

func TestFingerprints(t *testing.T) {
	const v4 = "0123456789ABCDEF0123456789ABCDEF01234567"
	for text, want := range map[string]source.Fingerprint{
		v4:                  v4,
		strings.ToLower(v4): v4,
		"0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567": v4,
		v4 + "0123456789ABCDEF01234567":                      v4 + "0123456789ABCDEF01234567",
		"01234567":                                           "", // which others can have, too
		"0123456789ABCDEF":                                   "",
		v4[1:]:                                               "",
		"alice@example.org":                                  "",
		"":                                                   "",
	} {
		var got source.Fingerprint
		if err := got.UnmarshalText([]byte(text)); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
}
