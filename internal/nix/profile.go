package nix

import (
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

// Generations returns the generations of the profile, oldest first; none if
// there is no such profile. Nothing is run.
func Generations(profile string) ([]Generation, error) {
	numbers, err := generationNumbers(profile)
	if err != nil {
		return nil, err
	}
	var all []Generation
	for _, n := range numbers {
		path, err := readStoreLink(generationLink(profile, n))
		if err != nil {
			return nil, fmt.Errorf("read generation %d of %s: %w", n, profile, err)
		}
		all = append(all, Generation{n, path})
	}
	return all, nil
}

// generationNumbers returns those of the profile, ascending, whatever they name.
func generationNumbers(profile string) (numbers []proto.Generation, err error) {
	links, err := filepath.Glob(globEscape(profile) + "-*-link")
	if err != nil {
		return nil, fmt.Errorf("list generations of %s: %w", profile, err)
	}
	for _, link := range links {
		// Others are another profile's, such as system-profiles.
		if n, ok := generationNumber(profile, link); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
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

func generationLink(profile string, number proto.Generation) string {
	return filepath.Clean(profile) + "-" + number.String() + "-link"
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
