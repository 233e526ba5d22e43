package layers

import (
	"context"

	"kedge/e2e/internal/command"
)

// allTags are the build tags of the project's files: e2e for what needs test
// hosts, host for what runs in one, next for agents that write as a later version. With
// all of them there is every file: none is for a build without one.
const allTags = "e2e,host,next"

// lint checks the form of every file, whatever its build tags, and what the programs
// are made of.
func lint(ctx context.Context, r *Report) error {
	golangci := func(args ...string) func() (string, error) {
		return func() (string, error) {
			return command.Run(ctx, command.Command{Args: append([]string{"golangci-lint"}, args...), Env: staticBuild()})
		}
	}
	r.check("format", golangci("fmt", "--diff"))
	r.check("linters with tags "+allTags, golangci("run", "--allow-serial-runners", "--build-tags", allTags))
	r.check("vulnerabilities", func() (string, error) { return vulnerabilities(ctx) })
	return nil
}

// noVet keeps the go command from vetting what it tests. The linters do that, for every file
// and more strictly; doing it again takes a minute of each layer.
const noVet = "-vet=off"

// adapters is the package that takes other packages' tests into a test host.
const adapters = "kedge/e2e/adapters"

// unit runs all tests that need nothing but this machine. Three packages at a time, for
// two processors: some wait for what they have started.
func unit(ctx context.Context, r *Report) error {
	return goTest(ctx, r, nil, "-race", noVet, "-shuffle=on", "-timeout=8m", "-p=3", "./...")
}

// integration runs the tests of what wraps the programs of a host, such as Nix
// and systemd, in a test host.
func integration(ctx context.Context, r *Report) error {
	return goTest(ctx, r, staticBuild(), "-count=1", noVet, "-timeout=14m", "-tags=e2e", adapters)
}

// endToEnd runs the scenarios on test hosts that match the regular expression;
// all, if it is empty; or the attacks, if it is [Attack]. Two packages and four scenarios at a
// time, for two processors: scenarios wait more than they compute.
func endToEnd(expression string) func(ctx context.Context, r *Report) error {
	if expression == Attack {
		return attacks
	}
	return func(ctx context.Context, r *Report) error {
		tagged, err := Tagged(ctx, "e2e")
		if err != nil {
			return err
		}
		args := []string{"-count=1", noVet, "-timeout=38m", "-tags=e2e", "-p=2", "-parallel=4", "-run=" + expression}
		for _, p := range tagged {
			if p.ImportPath != adapters {
				args = append(args, p.ImportPath)
			}
		}
		return goTest(ctx, r, staticBuild(), args...)
	}
}
