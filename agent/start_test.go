package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent"
	"kedge/agent/internal/credentials"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// TestStartsAgainWithWhatTheHostHasNow: a person who switches the system gives the agent
// another configuration, which holds from then on.
func TestStartsAgainWithWhatTheHostHasNow(t *testing.T) {
	invalid := errors.New("trust: must not be empty")
	for name, tt := range map[string]struct {
		change func(w *world, config, unit string)
		valid  error
		want   error
	}{
		"another configuration": {func(w *world, config, _ string) { w.write(config, "new") }, nil, agent.ErrOutdated},
		"another unit":          {func(w *world, _, unit string) { w.write(unit, "new") }, nil, agent.ErrOutdated},
		"another of both, of which this agent need not know the configuration": {func(w *world, config, unit string) {
			w.write(config, "new")
			w.write(unit, "new")
		}, invalid, agent.ErrOutdated},
		"a configuration that no agent starts with": {func(w *world, config, _ string) { w.write(config, "new") }, invalid, nil},
		"the same again": {func(w *world, config, _ string) { w.write(config, "old") }, nil, nil},
		"no agent any more": {func(w *world, config, unit string) {
			w.must(errors.Join(os.Remove(config), os.Remove(unit)))
		}, nil, nil},
		"in the middle of somebody's switch": {func(w *world, config, _ string) {
			w.write(config, "new")
			w.change(func() { w.switching = true })
		}, nil, nil},
		"of a system that is not adopted": {func(w *world, config, _ string) {
			w.write(config, "new")
			w.change(func() { w.systems.Current = pathC })
		}, nil, nil},
		"in the middle of a deployment": {func(w *world, config, _ string) {
			w.write(config, "new")
			w.record(deployment.Deployment{
				ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseActivating, Proven: deployment.Proven{Toplevel: pathA},
			})
		}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				config, unit := filepath.Join(t.TempDir(), "agent.yaml"), filepath.Join(t.TempDir(), "kedge-agent.service")
				w.write(config, "old")
				w.write(unit, "old")
				w.startedWith = agent.NoteStart(config, unit, func() error { return tt.valid })
				ended := make(chan error, 1)
				a := w.agent()
				go func() { ended <- a.Follow(t.Context()) }()
				time.Sleep(2 * time.Minute) // of the bubble: two looks, at nothing new
				synctest.Wait()
				select {
				case err := <-ended:
					t.Fatalf("it ended before anything changed: %v", err)
				default:
				}
				tt.change(w, config, unit)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				var got error
				select {
				case got = <-ended:
				default:
				}
				if !errors.Is(got, tt.want) {
					t.Errorf("it ended with %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestStartsAgainOnceItIsKnownWhoseStateItHas: nobody has to restart an agent after
// what kept it from being this host was mended.
func TestStartsAgainOnceItIsKnownWhoseStateItHas(t *testing.T) {
	other := statefile.Machine{Instance: "another"}
	for name, tt := range map[string]struct {
		was    func(w *world) error
		why    proto.Reason
		mend   func(w *world) error
		mended bool
	}{
		"enrolled again": {
			func(w *world) error { return w.files.SaveMachine(other) }, proto.ReasonMachineChanged,
			func(w *world) error { return w.files.SaveMachine(statefile.Machine{Instance: "here"}) }, true,
		},
		"removed": {
			func(w *world) error { return w.files.SaveMachine(other) }, proto.ReasonMachineChanged,
			func(w *world) error { return os.Remove(w.machine()) }, true,
		},
		"what was torn is removed": {
			func(w *world) error { return os.WriteFile(w.machine(), make([]byte, 64), 0o600) }, proto.ReasonStateUnreadable,
			func(w *world) error { return os.Remove(w.machine()) }, true,
		},
		"still another's": {
			func(w *world) error { return w.files.SaveMachine(other) }, proto.ReasonMachineChanged,
			func(w *world) error { return w.files.SaveMachine(statefile.Machine{Instance: "a third"}) }, false,
		},
		"a controller says who it is": {
			func(*world) error { return nil }, proto.ReasonSecondMachine,
			func(w *world) error { return w.files.SaveMachine(statefile.Machine{Instance: "here"}) }, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.held = credentials.State{Reason: tt.why}
				w.must(tt.was(w))
				ended := make(chan error, 1)
				a := w.agent()
				go func() { ended <- a.Follow(t.Context()) }()
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if len(ended) > 0 {
					t.Fatalf("it ended before anything changed: %v", <-ended)
				}
				w.must(tt.mend(w))
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if got := len(ended) > 0; got != tt.mended {
					t.Errorf("it ended: %t, want %t", got, tt.mended)
				}
			})
		})
	}
}

// machine returns the file that says whose state it is.
func (w *world) machine() string { return filepath.Join(w.files.State, "machine.json") }

func (w *world) write(file, text string) {
	w.t.Helper()
	w.must(os.WriteFile(file, []byte(text), 0o600))
}
