package build

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/nix"
	"kedge/proto"
)

// TestADerivationThatWasCollectedIsMadeAgain: it was collected as garbage after it was
// evaluated, and Nix builds nothing then. If it cannot be had again then that is the
// failure of its host alone.
func TestADerivationThatWasCollectedIsMadeAgain(t *testing.T) {
	again := attributeOf("web1")
	for name, tt := range map[string]struct {
		answers  map[string]string
		collects bool
		calls    []string
		want     []string // in web1's failure; none if it is built
	}{
		"it evaluates": {
			map[string]string{again: one(t, "web1")},
			false,
			[]string{"give up", again, "build db1", "build web1", "build web2"},
			nil,
		},
		"it evaluates no more": {
			nil, false,
			[]string{"give up", again, "build db1", "build web2"},
			[]string{errCollected.Error(), "no such input"},
		},
		"it is collected once more": {
			map[string]string{again: one(t, "web1")},
			true,
			[]string{"give up", again, "give up", "build db1", "build web2"},
			[]string{errCollected.Error(), drv(t, "web1").String()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeNix{
				answers: tt.answers, collects: tt.collects, stderr: map[string]string{again: "error: no such input"},
				broken:   map[proto.StorePath]bool{drv(t, "web2"): true},
				requires: map[proto.StorePath][]string{drv(t, "web2"): {"nginx"}},
				buildErr: "error: builder for '" + drv(t, "nginx").String() + "' failed with exit code 3;\n",
				gone: map[proto.StorePath]error{drv(t, "web1"): &nix.CommandError{
					Args: []string{"nix-store"}, ExitCode: 1, Err: errors.New("exit status 1"), Stderr: "error: path '" + drv(t, "web1").String() + "' is not valid\n",
				}},
			}
			b := newBuilder(t, f)
			evaluated := Evaluations{Hosts: map[proto.HostName]Evaluation{}, ref: "path:/x"}
			for _, name := range []string{"web1", "web2", "db1"} {
				evaluated.Hosts[host(t, name)] = evaluation(t, name)
			}
			builds, err := b.Build(t.Context(), evaluated, nil)
			must(t, err)
			if _, ok := builds.Toplevels[host(t, "db1")]; !ok {
				t.Errorf("db1 is not built: %v", builds.Failed[host(t, "db1")])
			}
			if diff := cmp.Diff(tt.calls, f.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			failed := map[string][]string{"web2": {"failed with exit code 3"}}
			if tt.want != nil {
				failed["web1"] = tt.want
			}
			if len(builds.Failed) != len(failed) {
				t.Errorf("failed: %v, want %v", builds.Failed, failed)
			}
			for name, texts := range failed {
				for _, text := range texts {
					failed := builds.Failed[host(t, name)]
					if failed == nil || failed.Reason != proto.ReasonBuildFailed || !strings.Contains(failed.Error(), text) {
						t.Errorf("%s: got %v, want it to fail with %s and %q", name, failed, proto.ReasonBuildFailed, text)
					}
				}
			}
		})
	}
}

// TestWhatTheBookKnowsAndWasCollectedIsMadeAgain evaluates nothing at first, since every
// derivation was there when it looked.
func TestWhatTheBookKnowsAndWasCollectedIsMadeAgain(t *testing.T) {
	f := &fakeNix{answers: map[string]string{"nixosConfigurations": hosts(t, "web1"), attributeOf("web1"): one(t, "web1")}}
	b := newBuilder(t, f)
	_, err := b.Evaluate(t.Context(), pinnedRef)
	must(t, err)
	instantiated(t, b, "web1")
	f.calls = nil
	evaluated, err := b.Evaluate(t.Context(), pinnedRef)
	must(t, err)
	f.gone = map[proto.StorePath]error{drv(t, "web1"): &nix.CommandError{Args: []string{"nix"}, ExitCode: 1, Err: errors.New("exit status 1"), Stderr: "error: it is not valid"}}
	builds, err := b.Build(t.Context(), evaluated, nil)
	must(t, err)
	if len(builds.Toplevels) != 1 {
		t.Errorf("failed: %v, want web1 built", builds.Failed)
	}
	if diff := cmp.Diff([]string{"give up", attributeOf("web1"), "build web1"}, f.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}
