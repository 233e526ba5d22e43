package source

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kedge/internal/command"
)

// Signers say whose signatures of commits count; either kind is enough. With the
// zero value commits need none.
type Signers struct {
	// SSH is a file of those whose SSH keys sign, as git's gpg.ssh.allowedSignersFile.
	SSH string
	// GPG is a file of public OpenPGP keys, in which those are looked for that sign.
	GPG          string
	Fingerprints []Fingerprint // of the primary keys among them that count
}

func (s Signers) wanted() bool { return s.SSH != "" || s.GPG != "" }

// A Fingerprint is that of an OpenPGP key, whole, in capital letters.
type Fingerprint string

// UnmarshalText implements encoding.TextUnmarshaler. Spaces, as gpg writes them, are
// left out.
func (f *Fingerprint) UnmarshalText(b []byte) error {
	text := strings.ToUpper(strings.ReplaceAll(string(b), " ", ""))
	const v4, v5 = 20, 32 // bytes, in the versions of OpenPGP that there are
	if sum, err := hex.DecodeString(text); err != nil || len(sum) != v4 && len(sum) != v5 {
		return fmt.Errorf("must be the whole fingerprint of a key, 40 hexadecimal digits, got %q", b)
	}
	*f = Fingerprint(text)
	return nil
}

// gpgConfig keeps gpg to the keys that it was given: it asks nobody and no server,
// starts no agent, and which keys count is not its business.
const gpgConfig = `batch
no-tty
quiet
no-autostart
no-auto-key-locate
no-auto-key-retrieve
trust-model always
`

// signed reports the first of the commits that no signer signed.
func (r *Repository) signed(ctx context.Context, commits []string) (err error) {
	s := r.policy.Signers
	if s.SSH != "" {
		if err := readable("signatures.allowed_signers_file", s.SSH); err != nil {
			return err
		}
	}
	if s.GPG != "" {
		defer func() { err = errors.Join(err, os.RemoveAll(r.gpgHome())) }()
		if err := r.importKeys(ctx); err != nil {
			return fmt.Errorf("signatures.gpg_keys_file: %w", err)
		}
	}
	for _, commit := range commits {
		why, err := r.unsigned(ctx, commit)
		if err != nil {
			return err
		}
		if why != "" {
			who, _ := r.run(ctx, r.mirror, "log", "-1", "--format=%an <%ae>", commit) // for the message alone
			return fmt.Errorf("%w: %s by %s: %s", ErrUnsigned, commit[:10], strings.TrimSpace(who), why)
		}
	}
	return nil
}

// unsigned says why a commit's signature does not count; empty if it does.
func (r *Repository) unsigned(ctx context.Context, commit string) (why string, err error) {
	s := r.policy.Signers
	if s.SSH != "" {
		// Only SSH's signatures count here, and only of those whom the file names.
		_, err := r.run(ctx, r.mirror,
			"-c", "gpg.ssh.allowedSignersFile="+s.SSH, "-c", "gpg.minTrustLevel=fully",
			"-c", "gpg.openpgp.program=false", "-c", "gpg.program=false", "-c", "gpg.x509.program=false",
			"verify-commit", "--", commit)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		failed, ok := errors.AsType[*gitError](err)
		if !ok {
			return "", err
		}
		if failed.stderr != "" || s.GPG == "" {
			return cmp.Or(failed.stderr, "it has no signature of SSH"), nil
		}
	}
	return r.unsignedGPG(ctx, commit)
}

// unsignedGPG is unsigned for OpenPGP's signatures, and after importKeys.
func (r *Repository) unsignedGPG(ctx context.Context, commit string) (why string, err error) {
	g := r.mirror
	g.env = slices.Concat(g.env, []string{"GNUPGHOME=" + r.gpgHome()})
	out, err := r.run(ctx, g,
		"-c", "gpg.program=gpg", "-c", "gpg.openpgp.program=gpg", "-c", "gpg.ssh.program=false", "-c", "gpg.x509.program=false",
		"log", "-1", "--no-show-signature", "--format=%G?%n%GF%n%GP", commit)
	if err != nil {
		return "", err
	}
	said := append(strings.Split(out, "\n"), "", "")
	verdict, key, primary := said[0], said[1], said[2]
	switch verdict {
	case "G", "U": // good; whether the key is whose it says is for the fingerprint to tell, not for gpg
		if slices.Contains(r.policy.Signers.Fingerprints, Fingerprint(primary)) {
			return "", nil
		}
		return fmt.Sprintf("the key %s signed it, which is not among signatures.gpg_fingerprints", primary), nil
	case "X":
		return "its signature has expired", nil
	case "Y":
		return fmt.Sprintf("the key %s signed it, which has expired", key), nil
	case "R":
		return fmt.Sprintf("the key %s signed it, which is revoked", key), nil
	case "B":
		return "its signature is bad", nil
	case "N":
		return "it has no signature", nil
	default:
		return "its signature is of no key in signatures.gpg_keys_file", nil
	}
}

// gpgHome is where gpg has its files while commits are looked at.
func (r *Repository) gpgHome() string { return filepath.Join(filepath.Dir(r.mirror.dir), "gnupg") }

// importKeys makes gpg's home anew, with the public keys of the file in it.
func (r *Repository) importKeys(ctx context.Context) error {
	home, file := r.gpgHome(), r.policy.Signers.GPG
	if _, err := os.Stat(file); err != nil {
		return err
	}
	if err := os.RemoveAll(home); err != nil { // of a controller that was killed
		return err
	}
	if err := os.Mkdir(home, dirPerm); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(home, "gpg.conf"), []byte(gpgConfig), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, fmt.Errorf("no end within %s", r.timeout))
	defer cancel()
	stderr := command.Tail{Limit: outputLimit}
	cmd := command.New(ctx, stopDelay, "gpg", "--homedir", home, "--import", "--", file)
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		_, why := command.Ended(ctx, cmd, err)
		return fmt.Errorf("gpg --import %s: %w: %s", file, why, strings.Join(strings.Fields(stderr.String()), " "))
	}
	return nil
}
