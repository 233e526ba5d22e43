//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestAttackAnEvaluationReads: whoever may push has the flake name what root alone may
// read on the controller's machine, in several ways. The evaluation fails, nothing of it
// comes into the store, and what is mended is deployed as ever.
func TestAttackAnEvaluationReads(t *testing.T) {
	t.Parallel()
	f := up(t, "web1")
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := f.Host("web1").MustFacts(t)
	key := stolenKey(t, f, "controller").String() // root can read it
	controller := strings.TrimSpace(f.MustRunOnBuild(t, "systemctl", "show", "--property=MainPID", "--value", fleet.ControllerUnit))
	flake := f.MustRunOnBuild(t, "cat", fleet.Worktree+"/flake.nix")
	for i, path := range []string{
		controllerKeys + "controller", strings.TrimSuffix(controllerKeys, "/"), "/root",
		"/proc/" + controller + "/root" + controllerKeys + "controller", "/proc/" + controller + "/environ",
	} {
		stealing := strings.Replace(flake, "outputs = { self }:", fmt.Sprintf("inputs.k = { url = %q; flake = false; };\n  outputs = { self, k }: builtins.seq (builtins.readFileType k) (", "path:"+path), 1)
		stealing = strings.Replace(stealing, "./hosts.json));", "./hosts.json)));", 1)
		if stealing == flake {
			t.Fatalf("there is nothing to change in\n%s", flake)
		}
		if err := f.Build().WriteFile(fleet.Worktree+"/flake.nix", []byte(stealing), 0o644); err != nil {
			t.Fatal(err)
		}
		pushWorktree(t, f, fmt.Sprint("theft ", i))
		rev, err := proto.ParseRevision(strings.TrimSpace(f.MustRunOnBuild(t, "git", "-C", fleet.Worktree, "rev-parse", "HEAD")))
		if err != nil {
			t.Fatal(err)
		}
		awaitSourceProblem(t, f, proto.ReasonEvalFailed, rev.Short(), "ermission denied", path)
	}
	// Root reads all of the store: the key is nowhere in it.
	if found, err := f.Build().Run(t.Context(), "grep", "--recursive", "--files-with-matches", "--fixed-strings", key, "/nix/store"); err == nil {
		t.Errorf("the key is in the store:\n%s", found)
	} else if code, stderr := exitCode(t, err); code != 1 {
		t.Errorf("grep ended with %d: %s", code, stderr)
	}
	requireSame(t, f.Host("web1"), before)
	commit(t, f, "mended", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("mended")) })
	requireOn(t, f.Host("web1"), "mended")
}
