package health

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

func TestBaseline(t *testing.T) {
	restarted := func(name string) systemd.Unit {
		u := active(name)
		u.NRestarts = 7
		return u
	}
	for _, tt := range []struct {
		name string
		age  time.Duration // of what was logged
		want []string
	}{
		{"just before", 0, []string{"flaps.service"}},
		{"long ago", grace + time.Second, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost()
				h.units = always(
					failed("b.service"), autoRestarting("c.service", 1), autoRestarting("d.service", 0),
					active("e.service"), restarted("flaps.service"), restarted("ends-well.service"))
				h.journal = map[string][]string{
					"e.service":         {"e.service: Failed with result 'exit-code'."},
					"flaps.service":     {"flaps.service: Failed with result 'exit-code'."},
					"ends-well.service": {"ends-well.service: Deactivated successfully."},
				}
				if err := pause(t.Context(), tt.age); err != nil {
					t.Fatal(err)
				}
				got, err := h.judge(t).Baseline(t.Context(), grace)
				if err != nil {
					t.Fatal(err)
				}
				want := deployment.Baseline{Failed: []string{"b.service", "c.service"}, Restarting: tt.want}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestBaselineExcusesNothingWithoutALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.units = restartsEvery(time.Second, "app.service")
		h.journalErr = errors.New("journalctl took too long")
		got, err := h.judge(t).Baseline(t.Context(), grace)
		if err != nil || len(got.Restarting) > 0 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestBaselineFailsIfSystemdDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.deaf = time.Hour
		if got, err := h.judge(t).Baseline(t.Context(), grace); err == nil {
			t.Errorf("got %+v, no error", got)
		}
	})
}

func TestFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.units = always(active("a.service"), failed("b.service"), autoRestarting("c.service", 1), failed("podman-x.service"),
			failed("user@1000.service"), transient(failed("run-u1.service")))
		h.journal = map[string][]string{"b.service": {"no such file"}}
		got, err := h.judge(t).Failed(t.Context(), []string{"podman-*"})
		if err != nil {
			t.Fatal(err)
		}
		want := []proto.FailedUnit{{Name: "b.service", Log: []string{"no such file"}}, {Name: "c.service"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
