package nix

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"kedge/proto"
)

// A Generation is one numbered link of a profile.
type Generation struct {
	Number proto.Generation
	Path   proto.StorePath
}

// SetProfile makes path the current generation of the profile (the path of the
// link, such as /nix/var/nix/profiles/system). Nix makes a new generation
// unless path is what the newest one names; then that becomes the current one.
// Nix does not sync the link: the caller does, before it relies on it.
func (c *CLI) SetProfile(ctx context.Context, profile string, path proto.StorePath) error {
	_, err := c.run(ctx, "nix-env", []string{"--profile", profile, "--set"}, []string{path.String()})
	return err
}

// SwitchGeneration makes the generation with that number the current one of
// the profile. As with [CLI.SetProfile] the caller syncs it.
func (c *CLI) SwitchGeneration(ctx context.Context, profile string, number proto.Generation) error {
	_, err := c.run(ctx, "nix-env", []string{"--profile", profile, "--switch-generation", number.String()}, nil)
	return err
}

// DeleteGenerations deletes the generations with those numbers, at least one,
// of the profile. What is not there is deleted already; the current one is an
// error, and then none is deleted. What they name stays until garbage is
// collected. The caller syncs the profile.
func (c *CLI) DeleteGenerations(ctx context.Context, profile string, numbers ...proto.Generation) error {
	if len(numbers) == 0 {
		return errors.New("delete generations: none given") // nix-env would print its help, or take it for all
	}
	args := []string{"--profile", profile, "--delete-generations"}
	for _, n := range numbers {
		args = append(args, n.String())
	}
	_, err := c.run(ctx, "nix-env", args, nil)
	return err
}

// Generations returns the generations of the profile, oldest first; none if
// there is no such profile. Nothing is run.
func Generations(profile string) ([]Generation, error) {
	links, err := filepath.Glob(globEscape(profile) + "-*-link")
	if err != nil {
		return nil, fmt.Errorf("list generations of %s: %w", profile, err)
	}
	var all []Generation
	for _, link := range links {
		number, ok := generationNumber(profile, link)
		if !ok {
			continue // the generation of another profile, such as system-profiles
		}
		path, err := readStoreLink(link)
		if err != nil {
			return nil, fmt.Errorf("read generation %d of %s: %w", number, profile, err)
		}
		all = append(all, Generation{number, path})
	}
	slices.SortFunc(all, func(a, b Generation) int { return cmp.Compare(a.Number, b.Number) })
	return all, nil
}

// CurrentGeneration returns the generation that the profile names. If there is
// no such profile the error wraps fs.ErrNotExist. Nothing is run.
func CurrentGeneration(profile string) (Generation, error) {
	target, err := os.Readlink(profile)
	if err != nil {
		return Generation{}, fmt.Errorf("read profile: %w", err)
	}
	link := target
	if !filepath.IsAbs(link) {
		link = filepath.Join(filepath.Dir(profile), link)
	}
	number, ok := generationNumber(profile, link)
	if !ok {
		return Generation{}, fmt.Errorf("read profile %s: it names %s, which is no generation of it; set it with nix-env --profile %[1]s --set", profile, target)
	}
	path, err := readStoreLink(link)
	if err != nil {
		return Generation{}, fmt.Errorf("read generation %d of %s: %w", number, profile, err)
	}
	return Generation{number, path}, nil
}

// generationNumber returns the number in the name of a link of the profile.
func generationNumber(profile, link string) (proto.Generation, bool) {
	rest, ok := strings.CutPrefix(filepath.Clean(link), filepath.Clean(profile)+"-")
	if !ok {
		return 0, false
	}
	digits, ok := strings.CutSuffix(rest, "-link")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return proto.Generation(n), err == nil && n > 0
}

func readStoreLink(link string) (proto.StorePath, error) {
	target, err := os.Readlink(link)
	if err != nil {
		return proto.StorePath{}, err
	}
	return proto.ParseStorePath(target)
}

// globEscape quotes what filepath.Glob would take for a pattern.
func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
