package layers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"kedge/e2e/internal/command"
)

// fuzzBudget is how many inputs each fuzz test tries. They are few: the seeds
// are what a change must pass, and whoever changes a parser fuzzes it for longer
// by hand. It is no time, since a fuzz test that ends by one may fail with
// "context deadline exceeded" where the machine is busy (golang/go#75804).
const fuzzBudget = "10000x"

// fuzz runs every fuzz test for a moment. Inputs that fail are left in the
// package's testdata/fuzz, where they go on as seeds.
func fuzz(ctx context.Context, r *Report) (err error) {
	all, err := packages(ctx, "")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kedge-fuzz-")
	if err != nil {
		return fmt.Errorf("fuzz: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, p := range all {
		if err := p.fuzz(ctx, r, dir); err != nil {
			return err
		}
	}
	return nil
}

func (p goPackage) fuzz(ctx context.Context, r *Report, dir string) error {
	targets, err := p.functions(p.testFiles(), "Fuzz")
	if err != nil || len(targets) == 0 {
		return err
	}
	program := filepath.Join(dir, "fuzz.test") // compiled once for all targets of the package
	compile := []string{"go", "test", "-c", "-fuzz=Fuzz", "-o", program, p.ImportPath}
	if _, err := command.Run(ctx, command.Command{Args: compile, Env: staticBuild()}); err != nil {
		return fmt.Errorf("compile fuzz tests of %s: %w", p.ImportPath, err)
	}
	for _, target := range targets {
		r.check(p.ImportPath+" "+target, func() (string, error) {
			return command.Run(ctx, command.Command{Dir: p.Dir, Args: []string{
				program, "-test.run=^$", "-test.fuzz=^" + target + "$",
				"-test.fuzztime=" + fuzzBudget, "-test.fuzzcachedir=" + filepath.Join(dir, "corpus", target), "-test.timeout=2m",
			}})
		})
	}
	return nil
}
