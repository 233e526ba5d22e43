package nix

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"kedge/proto"
)

// untrustedExit is the exit code of `nix store verify` that means: paths are
// untrusted, and nothing else is wrong. (1 is for corrupt paths, 4 for errors.)
const untrustedExit = 2

// untrustedText is what it says about each of them.
var untrustedText = regexp.MustCompile(`(?m)^(?:warning: )?path '(/nix/store/[^']+)' is untrusted$`)

// UntrustedOptions says whose signatures count, and where they are looked for.
type UntrustedOptions struct {
	// Path and all that it refers to are looked at; it must be valid in the
	// local store.
	Path proto.StorePath
	// TrustedKeys are the only keys that count; at least one.
	TrustedKeys []proto.PublicKey
	// Stores are URLs of stores whose signatures count as well as those in the
	// local store.
	Stores []string
}

// Untrusted returns the paths that none of the keys has signed, sorted. That a
// path was built here does not count as a signature; that its name is a hash of
// its content does. Contents are not read.
//
// It runs `nix store verify`, which has had these options since Nix 2.4: the
// stable commands do not tell about signatures. Anything but a clear answer of
// it is an error.
func (c *CLI) Untrusted(ctx context.Context, o UntrustedOptions) ([]proto.StorePath, error) {
	if o.Path.IsZero() || len(o.TrustedKeys) == 0 {
		return nil, errors.New("look for untrusted paths: a path and at least one key are required")
	}
	keys := make([]string, len(o.TrustedKeys))
	for i, k := range o.TrustedKeys {
		keys[i] = k.String()
	}
	args := []string{"store", "verify", "--no-contents", "--recursive", "--sigs-needed", "1"}
	for _, s := range o.Stores {
		args = append(args, "--substituter", s)
	}
	_, err := c.run(ctx, "nix", args, []string{o.Path.String()},
		Setting{"extra-experimental-features", "nix-command"},
		Setting{"trusted-public-keys", strings.Join(keys, " ")},
		Setting{"secret-key-files", ""}) // their public halves would count, too
	var failed *CommandError
	if !errors.As(err, &failed) || failed.ExitCode != untrustedExit {
		return nil, err
	}
	var untrusted []proto.StorePath
	for _, m := range untrustedText.FindAllStringSubmatch(failed.Stderr, -1) {
		p, parseErr := proto.ParseStorePath(m[1])
		if parseErr != nil {
			return nil, fmt.Errorf("nix store verify: %w", parseErr)
		}
		untrusted = append(untrusted, p)
	}
	if len(untrusted) == 0 {
		return nil, err
	}
	slices.SortFunc(untrusted, proto.StorePath.Compare)
	return untrusted, nil
}
