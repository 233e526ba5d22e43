package controller

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// problemKeys returns the keys that problems are about.
func problemKeys(problems []error) []string {
	var keys []string
	for line := range strings.Lines(errors.Join(problems...).Error()) {
		key, _, _ := strings.Cut(line, ":")
		keys = append(keys, key)
	}
	return slices.Compact(keys)
}

func TestBuildConfigNamesEveryProblem(t *testing.T) {
	c := BuildConfig{Jobs: -1, EvalWorkers: -1, EvalMemory: 4 << 30, KeepRevisions: 0}
	want := []string{
		"build.timeout", "build.max_silent_time", "build.eval_workers", "build.eval_memory", "build.keep_revisions", "build.jobs",
	}
	if diff := cmp.Diff(want, problemKeys(c.problems())); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	for want, change := range map[string]func(c *BuildConfig){
		"build.builders[1]":      func(c *BuildConfig) { c.Builders = []string{"@/etc/nix/machines", "a; b"} },
		"build.builders":         func(c *BuildConfig) { c.Builders, c.Host = []string{"ssh://arm"}, "ssh-ng://big" },
		"build.eval_user":        func(c *BuildConfig) { c.EvalUser = "root" },
		"build.host":             func(c *BuildConfig) { c.Host = "big.example" },
		"build.ssh_key_file":     func(c *BuildConfig) { c.Host, c.SSHKeyFile = "ssh-ng://big", "key" },
		"build.known_hosts_file": func(c *BuildConfig) { c.Host, c.KnownHostsFile = "ssh-ng://big", "known" },
	} {
		c := defaultBuild()
		change(&c)
		if diff := cmp.Diff([]string{want}, problemKeys(c.problems())); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	}
	alone := defaultBuild()
	alone.SSHKeyFile = "/key"
	if diff := cmp.Diff([]string{"build.host"}, problemKeys(alone.problems())); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if problems := defaultBuild().problems(); errors.Join(problems...) != nil {
		t.Errorf("defaults: %v", problems)
	}
}
