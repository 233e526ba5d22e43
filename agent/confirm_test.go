package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kedge/agent/internal/control"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

func TestWhatIsConfirmedGoesOnInSpiteOfVetoes(t *testing.T) {
	w := newWorld(t)
	if err := w.files.Veto(statefile.Veto{Who: "backup", Why: "runs"}); err != nil {
		t.Fatal(err)
	}
	w.live = []statefile.Veto{{Who: "apt", Why: "unpacks"}}
	if err := os.WriteFile(filepath.Join(w.files.Runtime, "confirmed.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err) // which confirms nothing
	}
	a, _ := w.startAgent()
	if _, err := a.Confirm(t.Context(), "ada"); !errors.Is(err, control.ErrNothing) {
		t.Errorf("Confirm of nothing = %v", err)
	}
	w.assign(7, pathB)
	s := w.awaitStatus("to be held back", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonInhibited
	})
	if d, err := a.Confirm(t.Context(), "ada"); err != nil || d.ID != s.Deployment.ID {
		t.Fatalf("Confirm = %+v, %v; want deployment %s", d, err, s.Deployment.ID)
	}
	d := w.awaitTransaction()
	w.await("that to be told", func() bool {
		return slices.ContainsFunc(w.events, func(e proto.Event) bool {
			return e.Reason == proto.ReasonConfirmed && e.Deployment == d.ID && e.Message == "confirmed by ada, in spite of backup: runs; apt: unpacks"
		})
	})
	// It is for one deployment.
	w.commit(d)
	w.assign(8, pathC)
	w.awaitStatus("the next to be held back", func(s proto.Status) bool {
		return s.Deployment.Serial == 8 && condition(s, proto.ConditionReady).Reason == proto.ReasonInhibited
	})
}
