package layers

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A Layer is one kind of tests.
type Layer struct {
	Name  string
	Limit time.Duration // the whole layer's
	// Run runs the layer's tests and reports each. An error means that not all
	// of them could be run.
	Run func(ctx context.Context, r *Report) error
}

// Names of the layers, in the order in which they run.
const (
	Lint        = "lint"
	Unit        = "unit"
	Fuzz        = "fuzz"
	Integration = "integration"
	E2E         = "e2e"
)

// all returns every layer. Of the end-to-end tests run those that match the
// regular expression, or all if it is empty; or the attacks, if it is [Attack].
func all(expression string) []Layer {
	return []Layer{
		{Name: Lint, Limit: 20 * time.Minute, Run: lint},
		{Name: Unit, Limit: 20 * time.Minute, Run: unit},
		{Name: Fuzz, Limit: 10 * time.Minute, Run: fuzz},
		{Name: Integration, Limit: 15 * time.Minute, Run: integration},
		{Name: E2E, Limit: 40 * time.Minute, Run: endToEnd(expression)},
	}
}

// Select returns the layers with these names, in the order in which layers
// run; without names it returns all of them. Of the end-to-end tests run those
// that match the regular expression; all, if it is empty; and if it is [Attack], the
// tests of every attack.
func Select(expression string, names ...string) ([]Layer, error) {
	layers := all(expression)
	for _, name := range names {
		if !slices.ContainsFunc(layers, func(l Layer) bool { return l.Name == name }) {
			return nil, fmt.Errorf("there is no layer %q", name)
		}
	}
	if len(names) == 0 {
		return layers, nil
	}
	return slices.DeleteFunc(layers, func(l Layer) bool { return !slices.Contains(names, l.Name) }), nil
}
