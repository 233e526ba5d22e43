package mutations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/e2e/internal/command"
)

// testTimeout is when a test that hangs, because the code is broken, is red.
const testTimeout = 2 * time.Minute

// ErrSurvived says that the code was broken and no test turned red. What it was
// was printed.
var ErrSurvived = errors.New("not every test turned red")

// Options say how to [Run] mutations.
type Options struct {
	Mutations []Mutation // required
	Root      string     // the module's folder; required
	Parallel  int        // how many at a time; required
	Out       io.Writer  // required
}

// Run breaks the code by one mutation after the other, never the files
// themselves, runs the test that has to turn red, and prints those that do not as they
// come, and a line at the end. It returns [ErrSurvived] if there was one.
func Run(ctx context.Context, o Options) error {
	dir, err := os.MkdirTemp("", "kedge-mutations-")
	if err != nil {
		return fmt.Errorf("run mutations: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // of no more use
	begun := time.Now()
	var mu sync.Mutex // guards what follows, and Out
	failed := 0
	var g errgroup.Group
	g.SetLimit(o.Parallel)
	for i, m := range o.Mutations {
		g.Go(func() error {
			problem := m.survives(ctx, o.Root, filepath.Join(dir, strconv.Itoa(i)))
			mu.Lock()
			defer mu.Unlock()
			if problem != nil && ctx.Err() == nil {
				failed++
				fmt.Fprintf(o.Out, "FAIL  %s\n      %v\n", m, problem)
			}
			return nil
		})
	}
	if err := errors.Join(g.Wait(), context.Cause(ctx)); err != nil {
		return fmt.Errorf("run mutations: %w", err)
	}
	fmt.Fprintf(o.Out, "%d mutations in %d s\n%d passed, %d failed\n",
		len(o.Mutations), int(time.Since(begun).Seconds()), len(o.Mutations)-failed, failed)
	if failed > 0 {
		return ErrSurvived
	}
	return nil
}

// failed matches what `go test` says of a test that turned red, or hung.
var failed = regexp.MustCompile(`(?m)^(--- FAIL: |panic: |fatal error: )`)

// survives returns why m's test does not turn red, or cannot be run; nil if it
// does. dir is for what is broken.
func (m Mutation) survives(ctx context.Context, root, dir string) error {
	content, err := m.Apply(root)
	if err != nil {
		return err
	}
	overlay, err := overlay(filepath.Join(root, m.File), content, dir)
	if err != nil {
		return err
	}
	out, err := command.Run(ctx, command.Command{
		Args: []string{"go", "test", "-vet=off", "-timeout=" + testTimeout.String(), "-overlay=" + overlay, "-run=^" + m.Test + "$", "./" + m.Dir},
		Dir:  root,
	})
	switch {
	case err == nil:
		return fmt.Errorf("%s in %s stays green", m.Test, m.Dir)
	case failed.MatchString(out):
		return nil
	}
	return fmt.Errorf("%s in %s could not be run: %w\n%s", m.Test, m.Dir, err, strings.TrimSpace(out))
}

// overlay writes, into the new folder dir, what makes the go command read content
// in the place of a file, and returns its name.
func overlay(file string, content []byte, dir string) (name string, err error) {
	file, err = filepath.Abs(file)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	broken := filepath.Join(dir, filepath.Base(file))
	if err == nil {
		err = os.WriteFile(broken, content, 0o600)
	}
	var b []byte
	if err == nil {
		b, err = json.Marshal(map[string]any{"Replace": map[string]string{file: broken}})
	}
	name = filepath.Join(dir, "overlay.json")
	if err == nil {
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("write what is broken: %w", err)
	}
	return name, nil
}
