package cache

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"kedge/proto"
)

// A narInfo is what a binary cache says about one store path.
type narInfo struct {
	path       proto.StorePath
	file       string // the NAR's file, relative to the cache
	fileSize   int64  // -1 if it does not say
	hash       string // of the NAR: "sha256:<base 32>"
	size       uint64 // of the NAR
	references []proto.StorePath
	signatures []string // "name:base64"
	ours       bool     // signed by the cache's key; see signedBy
}

// errNarInfo says that a narinfo cannot be used.
var errNarInfo = errors.New("invalid narinfo")

// parseNarInfo parses a narinfo, lines of "Key: value".
func parseNarInfo(text []byte) (narInfo, error) {
	n := narInfo{fileSize: -1}
	var err error
	for line := range bytes.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), ": ")
		if !ok {
			// Only a list may be empty, and then the value is.
			if key = strings.TrimSuffix(key, ":"); key != "References" {
				return narInfo{}, fmt.Errorf("%w: line %q", errNarInfo, line)
			}
		}
		switch key {
		case "StorePath":
			n.path, err = proto.ParseStorePath(value)
		case "URL":
			n.file = value
		case "FileSize":
			n.fileSize, err = strconv.ParseInt(value, 10, 64)
		case "NarHash":
			n.hash = value
		case "NarSize":
			n.size, err = strconv.ParseUint(value, 10, 64)
		case "References":
			n.references, err = parseReferences(value)
		case "Sig":
			n.signatures = append(n.signatures, value)
		}
		if err != nil {
			return narInfo{}, fmt.Errorf("%w: %s: %w", errNarInfo, key, err)
		}
	}
	if n.path.IsZero() || !narName.MatchString("/"+n.file) || !strings.HasPrefix(n.hash, "sha256:") || n.size == 0 {
		return narInfo{}, fmt.Errorf("%w: it must name store path, URL, hash and size", errNarInfo)
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

// signedBy reports whether key has signed n.
func (n narInfo) signedBy(key proto.PublicKey) bool {
	name, encoded, _ := strings.Cut(key.String(), ":")
	public, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return false
	}
	for _, s := range n.signatures {
		signer, encoded, _ := strings.Cut(s, ":")
		signature, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && signer == name && ed25519.Verify(public, []byte(n.fingerprint()), signature) {
			return true
		}
	}
	return false
}

// fingerprint returns what Nix signs.
func (n narInfo) fingerprint() string {
	references := make([]string, len(n.references))
	for i, r := range n.references {
		references[i] = r.String()
	}
	return fmt.Sprintf("1;%s;%s;%d;%s", n.path, n.hash, n.size, strings.Join(references, ","))
}
