package tidy

import (
	"cmp"
	"slices"

	"kedge/internal/nix"
	"kedge/proto"
)

// Protected says what is never superfluous.
type Protected struct {
	// Newer than this generation, which was committed, nothing is.
	Committed proto.Generation
	// Systems are those of which every generation stays.
	Systems []proto.StorePath
}

// Superfluous returns those of generations, oldest first, that may go where the
// newest so many up to the committed one are kept; zero keeps all. It performs no
// I/O.
func Superfluous(generations []nix.Generation, keep int, p Protected) (old []nix.Generation) {
	if keep == 0 {
		return nil
	}
	for _, g := range generations {
		if g.Number <= p.Committed {
			old = append(old, g)
		}
	}
	slices.SortFunc(old, func(a, b nix.Generation) int { return cmp.Compare(a.Number, b.Number) })
	old = old[:max(0, len(old)-keep)]
	return slices.DeleteFunc(old, func(g nix.Generation) bool { return slices.Contains(p.Systems, g.Path) })
}
