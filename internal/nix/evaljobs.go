package nix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"

	"kedge/proto"
)

// evalJobs is the program that evaluates many derivations side by side. It is no
// part of Nix, and found on PATH, or in BinDir, or nowhere.
const evalJobs = "nix-eval-jobs"

// EvalJobsOptions says what [CLI.EvalJobs] evaluates.
type EvalJobsOptions struct {
	// Installable names an attribute of a flake, as for [CLI.Eval].
	Installable string
	// Select is a Nix function that is applied to it, and returns a set of
	// derivations.
	Select string
	// Workers is how many processes evaluate.
	Workers int
	// Memory is how many MiB each worker may have used before it makes way for a
	// new one; twice as much ends it, and with it the evaluation of all.
	Memory int
}

// A Job is what one derivation evaluated to.
type Job struct {
	Name       string // of the attribute
	Derivation proto.StorePath
	Out        proto.StorePath // the output called "out"
	Error      string          // why there is none, in Nix's words
}

// HasEvalJobs reports whether [CLI.EvalJobs] has a program to run.
func (c *CLI) HasEvalJobs() bool {
	_, err := exec.LookPath(filepath.Join(c.BinDir, evalJobs))
	return err == nil
}

// EvalJobs evaluates every derivation of a set and calls each with what came of
// it, one after the other, in no order. One derivation's error ends no other; but
// whatever ends a worker ends all, and then those that each was called with are
// as good as ever. The error says first what of its output cannot be understood, if
// that is the cause, and then how the program ended.
func (c *CLI) EvalJobs(ctx context.Context, o EvalJobsOptions, each func(Job)) error {
	args := []string{
		"--flake", "--workers", strconv.Itoa(o.Workers), "--max-memory-size", strconv.Itoa(o.Memory),
		"--select", o.Select,
	}
	argv := append(c.evaluator().argv(evalJobs, args, nil, []Setting{{"extra-experimental-features", "nix-command flakes"}}), o.Installable)
	out := refusals{to: &lines{each: func(line []byte) error {
		job, err := parseJob(line)
		if err == nil {
			each(job)
		}
		return err
	}}}
	err := c.stream(ctx, argv, memory{data: 2 * o.Memory}, streams{as: c.Evaluator, out: &out})
	if out.first == nil || errors.Is(err, out.first) {
		return err
	}
	return fmt.Errorf("%w; and then: %w", out.first, err)
}

// refusals passes on what is written to it, and keeps why that was first refused: a
// command whose output is refused fails at that, most often, and os/exec says only how.
type refusals struct {
	to    io.Writer
	first error
}

// Write implements io.Writer.
func (r *refusals) Write(p []byte) (int, error) {
	n, err := r.to.Write(p)
	if r.first == nil {
		r.first = err
	}
	return n, err
}

// parseJob parses a line of nix-eval-jobs.
func parseJob(line []byte) (Job, error) {
	var said struct {
		AttrPath   []string           `json:"attrPath"`
		Derivation *proto.StorePath   `json:"drvPath"`
		Outputs    map[string]*string `json:"outputs"` // null where only the build tells
		Error      string             `json:"error"`
	}
	if err := json.Unmarshal(line, &said); err != nil {
		return Job{}, fmt.Errorf("%s: %w", evalJobs, err)
	}
	if len(said.AttrPath) != 1 {
		return Job{}, fmt.Errorf("%s: the attribute %q was not asked for", evalJobs, said.AttrPath)
	}
	job := Job{Name: said.AttrPath[0], Error: said.Error}
	if said.Error != "" {
		return job, nil
	}
	if said.Derivation == nil || said.Derivation.IsZero() || said.Outputs["out"] == nil {
		return Job{}, fmt.Errorf(`%s: %s has no derivation, or no output "out"`, evalJobs, job.Name)
	}
	out, err := proto.ParseStorePath(*said.Outputs["out"])
	if err != nil {
		return Job{}, fmt.Errorf("%s: %s: %w", evalJobs, job.Name, err)
	}
	job.Derivation, job.Out = *said.Derivation, out
	return job, nil
}
