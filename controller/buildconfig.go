package controller

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"kedge/internal/nix"
)

// A BuildConfig says where builds run, and bounds them.
type BuildConfig struct {
	Jobs      int           `config:"jobs"`            // at once; 0 means one for each processor
	Remote    bool          `config:"remote"`          // whether Nix is to look for remote builders, as nix.conf names them
	Timeout   time.Duration `config:"timeout"`         // of one revision's build
	MaxSilent time.Duration `config:"max_silent_time"` // of one derivation's builder without a word; as in nix.conf
	// Builders are machines that build beside this one, each as in Nix's own setting
	// of that name, or a file of them, such as "@/etc/nix/machines". They take the
	// place of those in nix.conf; empty leaves these.
	Builders []string `config:"builders"`
	// Host is the machine that builds everything, such as
	// "ssh-ng://builder@big.example"; empty for this one.
	Host           string `config:"host"`
	SSHKeyFile     string `config:"ssh_key_file"`     // for it; empty for what SSH finds by itself
	KnownHostsFile string `config:"known_hosts_file"` // that its key is in; empty for SSH's own
	// EvalWorkers is how many evaluations run at once; 0 means one for each
	// processor, as far as there is EvalMemory for each.
	EvalWorkers int `config:"eval_workers"`
	EvalMemory  int `config:"eval_memory"` // MiB that one evaluation may use
	// EvalUser is the account that evaluates, through nix-daemon: a flake can read
	// what it can. Empty is the controller's own.
	EvalUser string `config:"eval_user"`
	// KeepRevisions is how many revisions stay built for hosts to go back to, and
	// stay evaluated, and how many logs of builds are kept of each channel.
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
	if c.EvalUser == "root" || strings.ContainsAny(c.EvalUser, ":/ \n") {
		problems = append(problems, fmt.Errorf("build.eval_user: must be the name of an account other than root, such as kedge-eval, got %q", c.EvalUser))
	}
	if c.Jobs < 0 {
		problems = append(problems, fmt.Errorf("build.jobs: must not be negative, got %d", c.Jobs))
	}
	return append(problems, c.whereProblems()...)
}

// whereProblems returns what is wrong about where builds run.
func (c BuildConfig) whereProblems() []error {
	var problems []error
	for i, b := range c.Builders {
		if strings.TrimSpace(b) == "" || strings.ContainsAny(b, ";\n") {
			problems = append(problems, fmt.Errorf(`build.builders[%d]: must be one machine, such as "ssh-ng://builder@arm.example aarch64-linux", or a file, such as "@/etc/nix/machines", got %q`, i, b))
		}
	}
	if len(c.Builders) > 0 && c.Host != "" {
		problems = append(problems, errors.New("build.builders: must be empty with build.host, which has builders of its own"))
	}
	if c.Host == "" {
		if c.SSHKeyFile != "" || c.KnownHostsFile != "" {
			problems = append(problems, errors.New("build.host: must be set with build.ssh_key_file and build.known_hosts_file"))
		}
		return problems
	}
	keys := map[string]string{"URL": "build.host", "KeyFile": "build.ssh_key_file", "KnownHostsFile": "build.known_hosts_file"}
	for _, err := range c.buildHost().Problems() {
		field, why, _ := strings.Cut(err.Error(), ": ")
		problems = append(problems, fmt.Errorf("%s: %s", keys[field], why))
	}
	return problems
}

func (c BuildConfig) buildHost() nix.SSHStore {
	return nix.SSHStore{URL: c.Host, KeyFile: c.SSHKeyFile, KnownHostsFile: c.KnownHostsFile}
}

func within(key string, n, low, high int) error {
	if n < low || n > high {
		return fmt.Errorf("%s: must be between %d and %d, got %d", key, low, high, n)
	}
	return nil
}
