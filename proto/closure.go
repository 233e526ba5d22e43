package proto

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A ClosurePath is one store path of a closure, with what its bytes must be.
type ClosurePath struct {
	Path    StorePath
	NarHash string // as `nix-store --query --hash` prints it: "sha256:<base 32>"
	NarSize uint64 // bytes of the NAR
}

// A Closure is every path that a toplevel needs, itself included. Its digest
// in the signed [Release] pins the content of each: another trusted cache that
// serves other bytes for the same path is noticed.
type Closure []ClosurePath

// Text returns the closure list: a line per path, "path hash size", sorted by
// path, each ended by a newline. It is the same for the same closure.
func (c Closure) Text() []byte {
	var b bytes.Buffer
	for _, p := range slices.SortedFunc(slices.Values(c), func(a, b ClosurePath) int { return a.Path.Compare(b.Path) }) {
		b.WriteString(p.line())
	}
	return b.Bytes()
}

// Digest returns the digest of [Closure.Text].
func (c Closure) Digest() Digest { return DigestOf(c.Text()) }

// Size returns the sum of the NAR sizes in bytes.
func (c Closure) Size() uint64 {
	var n uint64
	for _, p := range c {
		n += p.NarSize
	}
	return n
}

// ParseClosure parses a closure list. It accepts exactly what [Closure.Text]
// returns for closures without duplicates; errors wrap [ErrMalformed] or
// [ErrInvalidStorePath].
func ParseClosure(text []byte) (Closure, error) {
	var c Closure
	for line := range strings.Lines(string(text)) {
		p, err := parseClosurePath(line)
		if err != nil {
			return nil, fmt.Errorf("closure list, line %d: %w", len(c)+1, err)
		}
		if len(c) > 0 && p.Path.Compare(c[len(c)-1].Path) <= 0 {
			return nil, fmt.Errorf("closure list, line %d: %w: %s is not sorted, or there twice", len(c)+1, ErrMalformed, p.Path)
		}
		c = append(c, p)
	}
	return c, nil
}

func parseClosurePath(line string) (ClosurePath, error) {
	f := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if len(f) != 3 {
		return ClosurePath{}, fmt.Errorf("%w: want path, hash and size", ErrMalformed)
	}
	path, err := ParseStorePath(f[0])
	if err != nil {
		return ClosurePath{}, err
	}
	if !isNarHash(f[1]) {
		return ClosurePath{}, fmt.Errorf("%w: hash %q is not sha256: and %d digits of Nix base 32", ErrMalformed, f[1], narHashLen)
	}
	size, err := strconv.ParseUint(f[2], 10, 64)
	if err != nil {
		return ClosurePath{}, fmt.Errorf("%w: size %q", ErrMalformed, f[2])
	}
	p := ClosurePath{Path: path, NarHash: f[1], NarSize: size}
	if p.line() != line {
		return ClosurePath{}, fmt.Errorf("%w: %q, want %q", ErrMalformed, line, p.line())
	}
	return p, nil
}

// line returns p's line of the closure list.
func (p ClosurePath) line() string { return fmt.Sprintf("%s %s %d\n", p.Path, p.NarHash, p.NarSize) }

const narHashLen = 52 // 256 bits, 5 a digit

func isNarHash(s string) bool {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	return ok && len(digits) == narHashLen && strings.Trim(digits, nixBase32) == ""
}
