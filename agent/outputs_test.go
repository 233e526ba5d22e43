package agent_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
	"kedge/proto/bus"
)

// says has a run of switch-to-configuration end in a deployment.
func (w *world) says(d deployment.Deployment, lines ...string) {
	w.t.Helper()
	w.must(w.files.KeepOutput(statefile.NewOutput(d, d.Toplevel, proto.ModeTest, lines, time.Now())))
}

// awaitLogs waits until these texts were sent, and nothing is left to be sent.
func (w *world) awaitLogs(want ...string) {
	w.t.Helper()
	w.await("the logs "+strings.Join(want, ", "), func() bool {
		var got []string
		for _, l := range w.logs {
			got = append(got, l.Text)
		}
		return slices.Equal(got, want)
	})
}

// relink has the agent see that its connection is another one.
func (w *world) relink() {
	w.change(func() {
		close(w.linked)
		w.linked = make(chan struct{})
		w.connects++
	})
}

func rolledBack(now time.Time) deployment.Deployment {
	return deployment.Deployment{
		ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseRolledBack, Reason: proto.ReasonUnitsFailed,
		History: []deployment.Step{{Phase: proto.PhaseRolledBack, Time: now, Reason: proto.ReasonUnitsFailed}},
	}
}

func TestWhatActivationsSaidIsSentOnceAfterTheEvents(t *testing.T) {
	w := newWorld(t)
	d := rolledBack(time.Now())
	w.says(d, "app.service failed")
	w.says(d, "starting app.service")
	w.record(d)
	w.unlogged = func(proto.Log) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.events) == 0 {
			t.Error("it is sent before the event of the deployment's end")
		}
		return nil
	}
	stop := w.start()
	w.awaitLogs("app.service failed", "starting app.service")
	if l := w.logs[0]; l.Host != w.host || l.Deployment != "7-x" || l.Toplevel != pathB || l.Phase != proto.PhaseRolledBack || l.Part != 1 || l.Parts != 1 {
		t.Errorf("sent %+v", l)
	}
	stop()
	w.linked = make(chan struct{})
	w.start()
	w.says(d, "another")
	w.relink()
	w.awaitLogs("app.service failed", "starting app.service", "another")
}

// TestALogThatIsNotTakenIsSentAgain: from the part that was not acknowledged.
func TestALogThatIsNotTakenIsSentAgain(t *testing.T) {
	w := newWorld(t)
	d := rolledBack(time.Now())
	text := strings.Repeat("x", statefile.MaxOutput)
	w.says(d, text)
	w.record(d)
	refused := make(chan struct{}, 100)
	w.linked = make(chan struct{})
	w.unlogged = func(l proto.Log) error {
		if l.Part == 2 {
			refused <- struct{}{}
			return bus.ErrNotConnected
		}
		return nil
	}
	w.start()
	<-refused
	w.change(func() { w.unlogged = nil })
	w.relink()
	w.await("both parts", func() bool { return len(w.logs) == 2 })
	if w.logs[0].Text+w.logs[1].Text != text || w.logs[1].Part != 2 || w.logs[1].Parts != 2 {
		t.Errorf("sent part %d and %d, of %d", w.logs[0].Part, w.logs[1].Part, w.logs[1].Parts)
	}
	w.await("nothing to be left", func() bool {
		left, err := w.files.Outputs()
		return err == nil && len(left) == 0
	})
}

// TestNoLogIsSentInTheMiddleOfADeployment has it wait for the deployment's end.
func TestNoLogIsSentInTheMiddleOfADeployment(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	d := deployment.Deployment{
		ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseProbation,
		History: []deployment.Step{{Phase: proto.PhaseProbation, Time: now}},
	}
	w.says(d, "activating")
	w.record(d)
	w.unlogged = func(proto.Log) error {
		if d, err := w.files.Deployment(); err != nil || !d.Terminal() {
			t.Errorf("it is sent in phase %s (%v)", d.Phase, err)
		}
		return nil
	}
	w.start()
	w.await("the event of the probation", func() bool { return len(w.events) == 1 })
	d, err := d.Advance(deployment.Step{Phase: proto.PhaseRollingBack, Time: now, Reason: proto.ReasonUnitsFailed})
	w.must(err)
	d, err = d.Advance(deployment.Step{Phase: proto.PhaseRolledBack, Time: now})
	w.must(err)
	w.record(d)
	w.awaitLogs("activating")
}
