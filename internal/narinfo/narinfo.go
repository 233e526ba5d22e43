// Package narinfo reads what binary caches say about store paths, and verifies
// who has signed it. Nothing in a narinfo is to be believed before that, and the
// bytes that it leads to only once they have the hash in it.
package narinfo

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"kedge/proto"
)

// An Info is what a binary cache says about one store path.
type Info struct {
	Path        proto.StorePath
	File        string // the NAR's file, relative to the cache; or a URL: see [Info.Elsewhere]
	FileSize    int64  // bytes; -1 if it does not say
	Compression string // of the file, as Nix calls it; empty if it does not say
	Hash        string // of the NAR: "sha256:<base 32>"
	Size        uint64 // bytes of the NAR
	References  []proto.StorePath
	Deriver     string   // base name of the derivation that made it; empty if nobody knows
	CA          string   // how the path follows from its content; empty if it does not
	Signatures  []string // "name:base64"
}

// ErrInvalid is wrapped by every error of [Parse].
var ErrInvalid = errors.New("invalid narinfo")

// fileName is where a NAR may be in a cache, or in another one. Most processes of a host
// never need it. How long its parts may be is not said in it: `{1,64}` takes 1 ms to
// compile, which is once in each deployment.
var fileName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(https?://[0-9A-Za-z.:\[\]-]+(/[0-9A-Za-z._~-]+)*/)?nar/([0-9a-z]+)\.nar(\.([0-9a-z]+))?$`)
})

// The longest hash and the longest suffix of a file's name.
const (
	maxHash   = 64
	maxSuffix = 8
)

func isFileName(s string) bool {
	m := fileName().FindStringSubmatch(s)
	return m != nil && len(m[3]) <= maxHash && len(m[5]) <= maxSuffix
}

// Parse parses a narinfo, lines of "Key: value".
func Parse(text []byte) (Info, error) {
	n := Info{FileSize: -1}
	var err error
	for line := range bytes.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), ": ")
		if !ok {
			// Only a list may be empty, and then the value is.
			if key = strings.TrimSuffix(key, ":"); key != "References" {
				return Info{}, fmt.Errorf("%w: line %q", ErrInvalid, line)
			}
		}
		switch key {
		case "StorePath":
			n.Path, err = proto.ParseStorePath(value)
		case "URL":
			n.File = value
		case "FileSize":
			n.FileSize, err = strconv.ParseInt(value, 10, 64)
		case "Compression":
			n.Compression = value
		case "NarHash":
			n.Hash = value
		case "NarSize":
			n.Size, err = strconv.ParseUint(value, 10, 64)
		case "References":
			n.References, err = parseReferences(value)
		case "Deriver":
			n.Deriver = value
		case "CA":
			n.CA = value
		case "Sig":
			n.Signatures = append(n.Signatures, value)
		}
		if err != nil {
			return Info{}, fmt.Errorf("%w: %s: %w", ErrInvalid, key, err)
		}
	}
	if n.Path.IsZero() || !isFileName(n.File) || !strings.HasPrefix(n.Hash, "sha256:") || n.Size == 0 {
		return Info{}, fmt.Errorf("%w: it must name store path, URL, hash and size", ErrInvalid)
	}
	return n, nil
}

func parseReferences(value string) ([]proto.StorePath, error) {
	var references []proto.StorePath
	for base := range strings.FieldsSeq(value) {
		p, err := proto.ParseStorePath(proto.StoreDir + base)
		if err != nil {
			return nil, err
		}
		references = append(references, p)
	}
	return references, nil
}

// Elsewhere reports whether the NAR is in another cache than what tells of it.
func (n Info) Elsewhere() bool { return strings.Contains(n.File, "://") }

// Sign returns what the secret half of a key signs n with, as Nix does.
func (n Info) Sign(key proto.SecretKey) (string, error) {
	name, encoded, _ := strings.Cut(key.Reveal(), ":")
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(secret) != ed25519.PrivateKeySize {
		return "", fmt.Errorf("sign what is said of %s: there is no key", n.Path)
	}
	return name + ":" + base64.StdEncoding.EncodeToString(ed25519.Sign(secret, []byte(n.Fingerprint()))), nil
}

// Text returns n as a cache says it.
func (n Info) Text() []byte {
	var b bytes.Buffer
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", key, value)
		}
	}
	line("StorePath", n.Path.String())
	line("URL", n.File)
	line("Compression", n.Compression)
	if n.FileSize >= 0 {
		line("FileSize", strconv.FormatInt(n.FileSize, 10))
	}
	line("NarHash", n.Hash)
	line("NarSize", strconv.FormatUint(n.Size, 10))
	references := make([]string, len(n.References))
	for i, r := range n.References {
		references[i] = r.Base()
	}
	fmt.Fprintf(&b, "References: %s\n", strings.Join(references, " "))
	line("Deriver", n.Deriver)
	line("CA", n.CA)
	for _, s := range n.Signatures {
		line("Sig", s)
	}
	return b.Bytes()
}

// SignedBy reports whether one of keys has signed n.
func (n Info) SignedBy(keys ...proto.PublicKey) bool { return slices.ContainsFunc(keys, n.signedBy) }

func (n Info) signedBy(key proto.PublicKey) bool {
	name, encoded, _ := strings.Cut(key.String(), ":")
	public, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return false
	}
	for _, s := range n.Signatures {
		signer, encoded, _ := strings.Cut(s, ":")
		signature, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && signer == name && ed25519.Verify(public, []byte(n.Fingerprint()), signature) {
			return true
		}
	}
	return false
}

// Fingerprint returns what Nix signs: path, hash, size and references.
func (n Info) Fingerprint() string {
	references := make([]string, len(n.References))
	for i, r := range n.References {
		references[i] = r.String()
	}
	return fmt.Sprintf("1;%s;%s;%d;%s", n.Path, n.Hash, n.Size, strings.Join(references, ","))
}
