package transaction_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/check"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/transaction"
	"kedge/proto"
)

// Try is the host's.
func (h *fakeHost) Try(ctx context.Context, s check.Subject, checks []deployment.Check) []proto.CheckResult {
	if s != (check.Subject{Deployment: h.record.ID, Toplevel: oldSystem}) || h.current != oldSystem || h.record.Phase != proto.PhaseFetched {
		h.t.Errorf("%s: checks are tried before for %+v, while %s runs", h.record.Phase, s, h.current)
	}
	if end, bounded := ctx.Deadline(); !bounded || time.Until(end) > time.Minute {
		h.t.Error("checks are tried before without a bound in time")
	}
	h.checked = nil
	var results []proto.CheckResult
	for _, c := range checks {
		if c.Before != "" {
			h.t.Errorf("the check %s is in the record as %s before it was saved", c.Name, c.Before)
		}
		h.checked = append(h.checked, c.Name+" of "+c.Unit)
		results = append(results, proto.CheckResult{Name: c.Name, Passed: h.passes[c.Unit]})
	}
	return results
}

// requireBefore fails unless checks say how they went before.
func (h *fakeHost) requireBefore(checks []deployment.Check) {
	h.t.Helper()
	for _, c := range checks {
		want := deployment.BeforeFailed
		if h.passes[c.Unit] {
			want = deployment.BeforePassed
		}
		if c.Required {
			want = ""
		}
		if c.Before != want {
			h.t.Errorf("%s: judged with the check %s of %s %q before, want %q", h.record.Phase, c.Name, c.Unit, c.Before, want)
		}
	}
}

// declareChecks gives both systems checks, one of which is the same.
func (h *fakeHost) declareChecks() {
	required := deployment.Check{Name: "required", Unit: "required.service", Required: true}
	same := deployment.Check{Name: "same", Unit: "same.service"}
	h.record.Probation.Checks = []deployment.Check{required, same, {Name: "other", Unit: "new.service"}}
	h.record.RollbackProbation.Checks = []deployment.Check{required, {Name: "other", Unit: "old.service"}, same}
	h.passes = map[string]bool{"same.service": true, "old.service": true}
}

func TestChecksThatAreNotRequiredAreTriedBefore(t *testing.T) {
	h := newFakeHost(t)
	h.declareChecks()
	h.unitsFail = true // both systems are judged
	h.settle()
	if diff := cmp.Diff([]string{"same of same.service", "other of new.service", "other of old.service"}, h.checked); diff != "" {
		t.Errorf("tried (-want +got):\n%s", diff)
	}
}

// A leaver is a host whose shutdown begins while checks are tried.
type leaver struct {
	*fakeHost
	shutdown func()
}

func (l leaver) Try(ctx context.Context, s check.Subject, checks []deployment.Check) []proto.CheckResult {
	l.shutdown()
	return l.fakeHost.Try(ctx, s, checks)
}

func TestTriesThatAreCutShortAreForgotten(t *testing.T) {
	h := newFakeHost(t)
	h.declareChecks()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d, err := transaction.Run(ctx, h.record, transaction.Options{Host: leaver{h, cancel}, Store: h, Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, context.Canceled) || d.Phase != proto.PhaseFetched || h.record.Phase != proto.PhaseFetched {
		t.Errorf("got %s, %v; %s is on the disk", d.Phase, err, h.record.Phase)
	}
}

func TestRequiredChecksAreNotTriedBefore(t *testing.T) {
	h := newFakeHost(t)
	h.record.Probation.Checks = []deployment.Check{{Name: "required", Unit: "required.service", Required: true}}
	h.settle()
	if len(h.checked) > 0 {
		t.Errorf("tried %v", h.checked)
	}
}

// requireResults fails unless the record has the results of the new system's
// checks, if that was judged.
func (h *fakeHost) requireResults(t *testing.T) {
	t.Helper()
	judged := h.record.Phase == proto.PhaseCommitted || h.record.Reason == proto.ReasonUnitsFailed || h.record.Reason == proto.ReasonNoContact
	want := []proto.CheckResult{{Name: "on " + h.record.System().String()}}
	if judged && !slices.Equal(want, h.record.Checks) {
		t.Errorf("results of checks (-want +got):\n%s", cmp.Diff(want, h.record.Checks))
	}
	if told := h.record.Status().Checks; !slices.Equal(h.record.Checks, told) {
		t.Errorf("results of checks (-record +status):\n%s", cmp.Diff(h.record.Checks, told))
	}
}
