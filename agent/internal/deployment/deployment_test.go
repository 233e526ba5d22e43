package deployment_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// document is where the state machine is told to people.
const document = "../../../docs/transaction.md"

// TestDocumentTellsTheStateMachine compares the table of the document with the
// one that counts.
func TestDocumentTellsTheStateMachine(t *testing.T) {
	told := map[proto.Phase][]proto.Phase{}
	for _, row := range rows(t) {
		from, next := row[0], row[2]
		if !slices.Contains(told[from], next) {
			told[from] = append(told[from], next)
		}
	}
	for _, p := range append(proto.Phases(), proto.PhaseNone) {
		want, got := slices.Sorted(slices.Values(deployment.Next(p))), slices.Sorted(slices.Values(told[p]))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after %q (-code +%s):\n%s", p, document, diff)
		}
	}
}

// rows returns the table's rows: phase, event, next phase.
func rows(t *testing.T) [][3]proto.Phase {
	t.Helper()
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(b), "| phase | what happens | next phase |\n|---|---|---|\n")
	if !found {
		t.Fatalf("%s has no table of phases", document)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var all [][3]proto.Phase
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 {
			t.Fatalf("row %q has %d cells, want 3", line, len(cells))
		}
		var row [3]proto.Phase
		for _, i := range []int{0, 2} {
			text := strings.Trim(strings.TrimSpace(cells[i]), "`")
			if text == "none" {
				continue
			}
			if err := row[i].UnmarshalText([]byte(text)); err != nil {
				t.Fatalf("row %q: %v", line, err)
			}
		}
		all = append(all, row)
	}
	return all
}

func TestAdvance(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := deployment.Deployment{ID: "7-x"}
	failed := []proto.FailedUnit{{Name: "app.service"}}
	for _, s := range []deployment.Step{
		{Phase: proto.PhaseAccepted},
		{Phase: proto.PhaseFetched},
		{Phase: proto.PhaseActivating},
		{Phase: proto.PhaseProbation, Message: "a note"},
		{Phase: proto.PhaseRollingBack, Reason: proto.ReasonUnitsFailed, Message: "app.service failed", Failed: failed},
		{Phase: proto.PhaseRolledBack},
	} {
		at = at.Add(time.Second)
		s.Time = at
		before := d
		var err error
		if d, err = d.Advance(s); err != nil {
			t.Fatal(err)
		}
		if len(d.History) != len(before.History)+1 || !d.Since.Equal(at) {
			t.Errorf("%s: history has %d steps, since %s", s.Phase, len(d.History), d.Since)
		}
	}
	if d.Reason != proto.ReasonUnitsFailed || d.Message != "app.service failed" || len(d.Failed) != 1 {
		t.Errorf("ended because of %q, %q, %v: want what decided it", d.Reason, d.Message, d.Failed)
	}
	if last := d.History[len(d.History)-1]; last.Reason != d.Reason || last.Message != d.Message || len(last.Failed) != 1 {
		t.Errorf("the bad end is told as %+v, want its reason repeated", last)
	}
	if _, err := d.Advance(deployment.Step{Phase: proto.PhaseProbation}); err == nil {
		t.Error("an end was followed by another phase")
	}
}

// TestAdvanceLeavesWhatItWas: who holds the record from before a step, as the
// transaction does until the next one is on the disk, holds its history, too.
func TestAdvanceLeavesWhatItWas(t *testing.T) {
	d := deployment.Deployment{Phase: proto.PhaseActivating, History: make([]deployment.Step, 1, 8)}
	good, err := d.Advance(deployment.Step{Phase: proto.PhaseProbation})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Advance(deployment.Step{Phase: proto.PhaseRollingBack, Reason: proto.ReasonPowerLoss}); err != nil {
		t.Fatal(err)
	}
	if got := good.History[1].Phase; got != proto.PhaseProbation {
		t.Errorf("another step from the same record made its history end in %s, want %s", got, proto.PhaseProbation)
	}
}

func TestWhatWasOnlyAskedTellsTheAnswer(t *testing.T) {
	d, err := deployment.Deployment{Phase: proto.PhaseFetched}.Advance(deployment.Step{Phase: proto.PhaseTried, Message: "would restart"})
	if err != nil || d.Message != "would restart" || d.Reason != "" {
		t.Errorf("tells %q because of %q, %v", d.Message, d.Reason, err)
	}
}

// TestEveryPhaseIsInOneHand checks who may settle a record in each phase:
// nobody, the agent or the transaction.
func TestEveryPhaseIsInOneHand(t *testing.T) {
	for _, p := range append(proto.Phases(), proto.PhaseNone) {
		d := deployment.Deployment{Phase: p}
		end := len(deployment.Next(p)) == 0
		if d.InTransaction() && d.Terminal() {
			t.Errorf("%q is over, and in a transaction", p)
		}
		if p != proto.PhaseNone && p != proto.PhaseStaging && p != proto.PhaseStaged && end != d.Terminal() {
			t.Errorf("%q: nothing follows is %t, terminal is %t", p, end, d.Terminal())
		}
	}
}
