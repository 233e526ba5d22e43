// Package noflake makes a flake of a repository that has none, so that all else is
// as it is for flakes: evaluated in pure mode, in bounded memory, many hosts side by
// side, and kept.
package noflake

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// DefaultAttribute is where hosts are looked for if nobody says otherwise.
const DefaultAttribute = "nixosConfigurations"

// An Entry is where the hosts are in a repository.
type Entry struct {
	// File is a Nix file in the repository. It evaluates to a set, or to a function
	// of one whose arguments all have defaults; and so do the attributes.
	File string
	// Attribute is the path in there of a set of hosts, by name: NixOS systems, or
	// their toplevels. What is said of rollouts is beside it, as kedge.
	Attribute string // defaults to DefaultAttribute
}

var (
	files      = regexp.MustCompile(`^[A-Za-z0-9._+@=-]+(/[A-Za-z0-9._+@=-]+)*$`)
	attributes = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_'-]*(\.[A-Za-z_][A-Za-z0-9_'-]*)*$`)
)

// Problems returns everything that is wrong with e: an error for each, which begins
// with its name in lower case. Without a File there is nothing to be wrong.
func (e Entry) Problems() (problems []error) {
	switch {
	case e.File == "" && e.Attribute != "":
		return []error{errors.New("attribute: must be empty without file; in a flake the hosts are in " + DefaultAttribute)}
	case e.File == "":
		return nil
	case !files.MatchString(e.File) || path.Clean(e.File) != e.File || strings.HasPrefix(e.File, "../") || e.File == "..":
		problems = append(problems, fmt.Errorf("file: must be a file inside the repository, of letters, digits and ._+@=-, such as default.nix, got %q", e.File))
	}
	if e.Attribute != "" && !attributes.MatchString(e.Attribute) {
		problems = append(problems, fmt.Errorf("attribute: must be names with dots between them, got %q", e.Attribute))
	}
	return problems
}

// Flake returns the text of a flake.nix whose outputs are the hosts of e, and what is
// said of rollouts. The repository is where a Nix expression in it says; inputs are
// declarations of those that the expression needs. e has no problems.
func (e Entry) Flake(repository, inputs string) string {
	attribute := e.Attribute
	if attribute == "" {
		attribute = DefaultAttribute
	}
	names := strings.Split(attribute, ".")
	return strings.NewReplacer(
		"@REPOSITORY@", repository, "@INPUTS@", inputs, "@FILE@", e.File, "@ATTRIBUTE@", attribute,
		"@PARENTS@", quoted(names[:len(names)-1]), "@LAST@", quoted(names[len(names)-1:]),
	).Replace(text)
}

func quoted(names []string) string {
	var all []string
	for _, n := range names {
		all = append(all, `"`+n+`"`)
	}
	return strings.Join(all, " ")
}

const text = `{
  @INPUTS@
  outputs = inputs:
    let
      called = value: if builtins.isFunction value then value { } else value;
      select = set: name:
        if set ? ${name} then called set.${name} else throw "@FILE@ has no attribute @ATTRIBUTE@";
      beside = builtins.foldl' select (called (import (@REPOSITORY@ + "/@FILE@"))) [ @PARENTS@ ];
      system = host:
        if host.type or null == "derivation" then { config.system.build.toplevel = host; } else host;
    in
    { nixosConfigurations = builtins.mapAttrs (_: system) (select beside @LAST@); }
    // (if beside ? kedge then { inherit (beside) kedge; } else { });
}
`
