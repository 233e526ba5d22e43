package nix

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"kedge/proto"
)

// parseRegistrations parses what nix-store --dump-db prints and --load-db
// reads. For each path these lines follow each other: path, SHA-256 of the NAR
// in hexadecimal, its size, the deriver or nothing, the number of references,
// and the references.
func parseRegistrations(out []byte) (map[proto.StorePath]proto.ClosurePath, error) {
	const fixedLines = 5
	infos := make(map[proto.StorePath]proto.ClosurePath)
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
		references, err := strconv.Atoi(lines[4])
		if err != nil {
			return nil, fmt.Errorf("registration of %s: number of references: %w", path, err)
		}
		lines = lines[fixedLines:]
		if references < 0 || references > len(lines) {
			return nil, fmt.Errorf("registration of %s: %w", path, errShortRegistration)
		}
		lines = lines[references:]
		infos[path] = proto.ClosurePath{Path: path, NarHash: "sha256:" + base32(hash), NarSize: size}
	}
	return infos, nil
}

var errShortRegistration = errors.New("it ends too early")
