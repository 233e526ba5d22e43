package controller

import (
	"fmt"
	"time"
)

// A BuildConfig says where builds run, and bounds them.
type BuildConfig struct {
	Jobs      int           `config:"jobs"`            // at once; 0 means one for each processor
	Remote    bool          `config:"remote"`          // whether Nix is to look for remote builders, as nix.conf names them
	Timeout   time.Duration `config:"timeout"`         // of one revision's build
	MaxSilent time.Duration `config:"max_silent_time"` // of one derivation's builder without a word; as in nix.conf
	// EvalWorkers is how many evaluations run at once; 0 means one for each
	// processor, as far as there is EvalMemory for each.
	EvalWorkers int `config:"eval_workers"`
	EvalMemory  int `config:"eval_memory"` // MiB that one evaluation may use
	// KeepRevisions is how many revisions stay built for hosts to go back to, and
	// stay evaluated.
	KeepRevisions int `config:"keep_revisions"`
}

func defaultBuild() BuildConfig {
	return BuildConfig{
		Remote: true, Timeout: time.Hour, MaxSilent: 10 * time.Minute,
		EvalMemory: 4 << 10, KeepRevisions: 10,
	}
}

// Less memory than minEvalMemory is not enough for any NixOS host; maxEvalMemory, and
// the other bounds, catch a number in another unit.
const (
	minEvalMemory, maxEvalMemory       = 512, 1 << 20
	maxEvalWorkers                     = 1024
	minKeepRevisions, maxKeepRevisions = 1, 1000
)

func (c BuildConfig) problems() []error {
	problems := []error{
		between("build.timeout", c.Timeout, minTimeout, maxTimeout),
		between("build.max_silent_time", c.MaxSilent, minTimeout, maxTimeout),
		within("build.eval_workers", c.EvalWorkers, 0, maxEvalWorkers),
		within("build.eval_memory", c.EvalMemory, minEvalMemory, maxEvalMemory),
		within("build.keep_revisions", c.KeepRevisions, minKeepRevisions, maxKeepRevisions),
	}
	if c.Jobs < 0 {
		problems = append(problems, fmt.Errorf("build.jobs: must not be negative, got %d", c.Jobs))
	}
	return problems
}

func within(key string, n, low, high int) error {
	if n < low || n > high {
		return fmt.Errorf("%s: must be between %d and %d, got %d", key, low, high, n)
	}
	return nil
}
