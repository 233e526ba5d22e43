package health

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/systemd"
)

// askedJournal keeps what it was asked for.
type askedJournal struct {
	Units
	asked systemd.JournalQuery
}

func (j *askedJournal) Journal(_ context.Context, q systemd.JournalQuery) ([]string, error) {
	j.asked = q
	return nil, nil
}

func TestTheLogOfAFailedUnitIsThatOfItsLastRun(t *testing.T) {
	began := time.Unix(1234, 0)
	for _, tt := range []struct {
		name  string
		unit  systemd.Unit
		since time.Time
	}{
		{"failed", failed("app.service"), began},
		{"about to be started again", autoRestarting("app.service", 1), began},
		{"in its next run", active("app.service"), time.Time{}},
	} {
		journal := &askedJournal{}
		o := observation{Judge: Judge{Units: journal}}
		tt.unit.Began = began
		o.lastLines(t.Context(), tt.unit)
		want := systemd.JournalQuery{Unit: "app.service", Since: tt.since, Lines: maxLogLines}
		if diff := cmp.Diff(want, journal.asked); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
