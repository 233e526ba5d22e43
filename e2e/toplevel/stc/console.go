package stc

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
)

// A console is the program's only output, standard error.
type console struct{ w io.Writer }

// say prints one line. When nobody can read it, the error ends the program at once, in the middle
// of whatever it does: the real one panics.
func (c console) say(format string, args ...any) error {
	_, err := fmt.Fprintf(c.w, format+"\n", args...)
	if err != nil && !errors.Is(err, syscall.EBADF) {
		return exitError{codePanic}
	}
	return nil
}

// list prints a sentence about units, sorted without regard to case; nothing if there are none.
func (c console) list(sentence string, units set) error {
	if len(units) == 0 {
		return nil
	}
	return c.say("%s: %s", sentence, strings.Join(units.sorted(), ", "))
}

// A set holds unit names.
type set map[string]struct{}

func (s set) add(unit string)      { s[unit] = struct{}{} }
func (s set) has(unit string) bool { _, ok := s[unit]; return ok }

// without returns the units of s that are not in other.
func (s set) without(other set) set {
	rest := set{}
	for unit := range s {
		if !other.has(unit) {
			rest.add(unit)
		}
	}
	return rest
}

func (s set) sorted() []string {
	names := make([]string, 0, len(s))
	for unit := range s {
		names = append(names, unit)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a), strings.ToLower(b)), cmp.Compare(a, b))
	})
	return names
}
