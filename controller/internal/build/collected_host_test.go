//go:build host

package build

import (
	"os/exec"
	"testing"

	"kedge/proto"
)

// TestRealDerivationThatWasCollected deletes what a host is built from once it is evaluated,
// as a collection of garbage may.
func TestRealDerivationThatWasCollected(t *testing.T) {
	b := realBuilder(t)
	evaluations, err := b.Evaluate(t.Context(), flake(t, realHosts, ""))
	must(t, err)
	defer evaluations.Close()
	web1 := host(t, "web1")
	evaluations.Hosts = map[proto.HostName]Evaluation{web1: evaluations.Hosts[web1]}
	if out, err := exec.CommandContext(t.Context(), "nix-store", "--delete", evaluations.Hosts[web1].Derivation.String()).CombinedOutput(); err != nil {
		t.Fatalf("delete the derivation: %v\n%s", err, out)
	}
	builds, err := b.Build(t.Context(), evaluations, heard(t))
	must(t, err)
	if len(builds.Toplevels) != 1 {
		t.Errorf("web1: %v, want it built", builds.Failed[web1])
	}
}
