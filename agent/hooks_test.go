package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/agent"
	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/proto"
)

var errHook = errors.New("drain: not now")

// everyHook is a configuration with a hook at every point.
func everyHook() agent.HooksConfig {
	h := []agent.HookConfig{{Exec: []string{"/bin/drain"}}}
	return agent.HooksConfig{PreFetch: h, PreActivate: h, PostCommit: h, PostRollback: h}
}

// ran returns the points of the hooks that ran; w.mu is held.
func (w *world) ran() (points []hook.Point) {
	for _, c := range w.calls {
		points = append(points, c.Point)
	}
	return points
}

func TestHooksRunInTheirPlaces(t *testing.T) {
	w := newWorld(t)
	w.hooks = everyHook()
	w.fetch = func(context.Context, closure.FetchOrder) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if got := w.ran(); !slices.Equal(got, []hook.Point{hook.PreFetch}) {
			t.Errorf("before the fetch ran %q", got)
		}
		return nil
	}
	w.start()
	w.assign(7, pathB)
	d := w.awaitTransaction()
	w.await("the hooks before the activation, once", func() bool {
		return slices.Equal(w.ran(), []hook.Point{hook.PreFetch, hook.PreActivate})
	})
	if !d.HooksAgreed {
		t.Error("that the hooks agreed is not recorded")
	}
	w.commit(d)
	w.await("the hooks after the commit", func() bool { return len(w.calls) == 3 })
	c := w.calls[2]
	if diff := cmp.Diff([]hook.Hook{{Exec: []string{"/bin/drain"}, Timeout: time.Minute}}, c.Hooks); diff != "" || c.Point != hook.PostCommit || c.Host != w.host {
		t.Errorf("after the commit %s ran for %s (-want +got):\n%s", c.Point, c.Host, diff)
	}
	if c.Deployment.ID != d.ID || c.Deployment.Phase != proto.PhaseCommitted || c.Deployment.Proven.Toplevel != pathA {
		t.Errorf("it ran for %+v", c.Deployment)
	}
}

func TestAHookRefuses(t *testing.T) {
	for _, point := range []hook.Point{hook.PreFetch, hook.PreActivate} {
		t.Run(string(point), func(t *testing.T) {
			w := newWorld(t)
			w.hooks = everyHook()
			w.hook = func(_ context.Context, c hook.Call) error {
				if c.Point == point {
					return errHook
				}
				return nil
			}
			w.start()
			w.assign(7, pathB)
			s := w.awaitStatus("the refusal", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseFailed })
			if s.Deployment.Reason != proto.ReasonHookRefused || s.Deployment.Message != errHook.Error() {
				t.Errorf("reported %q, %q; want %q and the hook's words", s.Deployment.Reason, s.Deployment.Message, proto.ReasonHookRefused)
			}
			w.awaitStatus("the wait for another try", func(s proto.Status) bool {
				return condition(s, proto.ConditionReady).Reason == proto.ReasonRetrying
			})
			if len(w.ensured) > 0 {
				t.Errorf("a transaction was started: %+v", w.ensured)
			}
			text := "# HELP kedge_agent_hook_failures_total Times that a hook failed or passed its deadline.\n# TYPE kedge_agent_hook_failures_total counter\n"
			for _, p := range slices.Sorted(slices.Values(hook.Points())) {
				text += `kedge_agent_hook_failures_total{hook="` + string(p) + `"} ` + map[bool]string{true: "1", false: "0"}[p == point] + "\n"
			}
			if err := testutil.GatherAndCompare(w.registry, strings.NewReader(text), "kedge_agent_hook_failures_total"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHooksThatAgreedAreNotAskedAgain(t *testing.T) {
	w := newWorld(t)
	w.hooks = everyHook()
	stop := w.start()
	w.assign(7, pathB)
	d := w.awaitTransaction()
	stop() // before the transaction began
	w.change(func() { w.calls, w.ensured = nil, nil })
	w.start()
	if again := w.awaitTransaction(); again.ID != d.ID {
		t.Errorf("deployment %s, want %s", again.ID, d.ID)
	}
	if got := w.ran(); len(got) > 0 {
		t.Errorf("ran %q", got)
	}
}

func TestANewerAssignmentStopsAHook(t *testing.T) {
	w := newWorld(t)
	w.hooks = agent.HooksConfig{PreActivate: everyHook().PreActivate}
	stopped := make(chan struct{})
	w.hook = func(ctx context.Context, c hook.Call) error {
		if c.Deployment.Serial == 7 {
			<-ctx.Done()
			close(stopped)
			return ctx.Err()
		}
		return nil
	}
	w.fetch = func(_ context.Context, o closure.FetchOrder) error {
		if o.Toplevel == pathC {
			<-stopped // not only when the next hook is due
		}
		return nil
	}
	w.start()
	w.assign(7, pathB)
	w.await("the hook", func() bool { return len(w.calls) == 1 })
	w.assign(8, pathC)
	if d := w.awaitTransaction(); d.Serial != 8 {
		t.Errorf("the transaction is of %d", d.Serial)
	}
}

func TestAHookAfterAnEndRunsAlsoAfterARestart(t *testing.T) {
	w := newWorld(t)
	w.hooks = everyHook()
	w.record(deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseRolledBack, Reason: proto.ReasonUnitsFailed})
	w.hook = func(ctx context.Context, _ hook.Call) error {
		<-ctx.Done() // cut short
		return ctx.Err()
	}
	stop := w.start()
	w.await("the hook", func() bool { return len(w.calls) == 1 })
	stop()
	w.change(func() { w.hook = nil })
	w.start()
	w.await("the hook again", func() bool { return len(w.calls) == 2 })
	w.assign(8, pathC)
	w.awaitTransaction() // it had to wait for what is remembered
	if b, err := os.ReadFile(filepath.Join(w.files.State, "hooks.json")); err != nil || !strings.Contains(string(b), `"deployment": "7-x"`) {
		t.Errorf("remembered is %q (%v), want 7-x", b, err)
	}
}

func TestAHookAfterAnEndRunsNotAgainOnceItRan(t *testing.T) {
	w := newWorld(t)
	w.hooks = everyHook()
	w.record(deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseRolledBack, Reason: proto.ReasonUnitsFailed})
	if err := os.WriteFile(filepath.Join(w.files.State, "hooks.json"), []byte(`{"format":1,"deployment":"7-x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.assign(8, pathC)
	w.awaitTransaction()
	if got := w.ran(); !slices.Equal(got, []hook.Point{hook.PreFetch, hook.PreActivate}) {
		t.Errorf("ran %q, want those of the new deployment only", got)
	}
}

func TestAHookThatFailsAfterAnEndIsToldAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.hooks = everyHook()
	w.record(deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseInconclusive, Reason: proto.ReasonNoContact})
	w.hook = func(_ context.Context, c hook.Call) error {
		if c.Point == hook.PostRollback {
			return errHook
		}
		return nil
	}
	w.start()
	w.await("the event", func() bool {
		return slices.ContainsFunc(w.events, func(e proto.Event) bool {
			return e.Deployment == "7-x" && e.Reason == proto.ReasonHookFailed && e.Message == errHook.Error() && e.Toplevel == pathB
		})
	})
	if d, err := w.files.Deployment(); err != nil || d.Phase != proto.PhaseInconclusive || d.Reason != proto.ReasonNoContact {
		t.Errorf("the record is %+v (%v)", d, err)
	}
	w.assign(8, pathC)
	w.awaitTransaction()
}

func TestADeploymentWaitsForTheHooksAfterTheLastOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.hooks = agent.HooksConfig{PostRollback: everyHook().PostRollback}
		w.record(deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseRolledBack, Reason: proto.ReasonUnitsFailed})
		release := make(chan struct{})
		w.hook = func(context.Context, hook.Call) error {
			<-release
			return nil
		}
		w.follow()
		w.assign(8, pathC)
		synctest.Wait()
		if d, err := w.files.Deployment(); err != nil || d.ID != "7-x" {
			t.Errorf("the record is of %s (%v), want it kept for its hooks", d.ID, err)
		}
		close(release)
		synctest.Wait()
		if d, err := w.files.Deployment(); err != nil || d.Serial != 8 {
			t.Errorf("the record is of %s (%v), want it to be of 8", d.ID, err)
		}
	})
}

func TestHooksConfig(t *testing.T) {
	for _, tt := range []struct {
		name string
		hook agent.HookConfig
		want string // in the error; empty: it is good
	}{
		{"good", agent.HookConfig{Exec: []string{"/bin/drain", "web"}, Timeout: time.Second}, ""},
		{"without a timeout", agent.HookConfig{Exec: []string{"/bin/drain"}}, ""},
		{"empty", agent.HookConfig{}, "absolute path"},
		{"looked up", agent.HookConfig{Exec: []string{"drain"}}, "absolute path"},
		{"without a unit", agent.HookConfig{Exec: []string{"/bin/drain"}, Timeout: 30}, "timeout must be at least"},
	} {
		for _, key := range []string{"pre_fetch", "pre_activate", "pre_reboot", "reboot_cancelled", "post_commit", "post_rollback"} {
			one := []agent.HookConfig{tt.hook}
			c := agent.Config{Hooks: map[string]agent.HooksConfig{
				"pre_fetch": {PreFetch: one}, "pre_activate": {PreActivate: one}, "pre_reboot": {PreReboot: one}, "reboot_cancelled": {RebootCancelled: one},
				"post_commit": {PostCommit: one}, "post_rollback": {PostRollback: one},
			}[key]}
			text := c.Validate().Error() // it lacks much else
			if got := strings.Contains(text, "hooks."+key+": "); got != (tt.want != "") || !strings.Contains(text, tt.want) {
				t.Errorf("%s, %s: %s", tt.name, key, text)
			}
		}
	}
}
