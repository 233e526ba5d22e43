package nix

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"kedge/proto"
)

// A registration is what the local store has of a path.
type registration struct {
	proto.ClosurePath
	references []proto.StorePath // itself, too, if it refers to itself
}

// parseRegistrations parses what nix-store --dump-db prints and --load-db
// reads. For each path these lines follow each other: path, SHA-256 of the NAR
// in hexadecimal, its size, the deriver or nothing, the number of references,
// and the references.
func parseRegistrations(out []byte) (map[proto.StorePath]registration, error) {
	const fixedLines = 5
	infos := make(map[proto.StorePath]registration)
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	for len(lines) > 0 && lines[0] != "" {
		if len(lines) < fixedLines {
			return nil, fmt.Errorf("registration of %s: %w", lines[0], errShortRegistration)
		}
		path, err := proto.ParseStorePath(lines[0])
		if err != nil {
			return nil, err
		}
		hash, err := hex.DecodeString(lines[1])
		if err != nil {
			return nil, fmt.Errorf("registration of %s: hash %q: %w", path, lines[1], err)
		}
		size, err := strconv.ParseUint(lines[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("registration of %s: size: %w", path, err)
		}
		count, err := strconv.Atoi(lines[4])
		if err != nil {
			return nil, fmt.Errorf("registration of %s: number of references: %w", path, err)
		}
		lines = lines[fixedLines:]
		if count < 0 || count > len(lines) {
			return nil, fmt.Errorf("registration of %s: %w", path, errShortRegistration)
		}
		r := registration{ClosurePath: proto.ClosurePath{Path: path, NarHash: "sha256:" + base32(hash), NarSize: size}}
		for _, line := range lines[:count] {
			reference, err := proto.ParseStorePath(line)
			if err != nil {
				return nil, fmt.Errorf("registration of %s: reference: %w", path, err)
			}
			r.references = append(r.references, reference)
		}
		lines = lines[count:]
		infos[path] = r
	}
	return infos, nil
}

var errShortRegistration = errors.New("it ends too early")
