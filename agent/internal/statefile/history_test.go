package statefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

func past(id string) Past {
	return NewPast(deployment.Deployment{
		ID: id, Attempt: 2, Serial: 7, Phase: proto.PhaseRolledBack, Reason: proto.ReasonUnitsFailed, Started: noon, Since: noon.Add(time.Minute),
		Failed:  []proto.FailedUnit{{Name: "a.service", Log: []string{"no"}}},
		History: []deployment.Step{{Phase: proto.PhaseAccepted, Time: noon}, {Phase: proto.PhaseRolledBack, Time: noon.Add(time.Minute), Reason: proto.ReasonUnitsFailed}},
	})
}

func TestHistoryKeepsTheLastOnes(t *testing.T) {
	d := newDir(t)
	for i := range HistoryLimit + 3 {
		for range 2 { // as after a crash
			if err := d.Remember(past(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	h, err := d.History()
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Deployments) != HistoryLimit {
		t.Fatalf("remembers %d, want %d", len(h.Deployments), HistoryLimit)
	}
	for i, p := range h.Deployments {
		if diff := cmp.Diff(past(fmt.Sprint(i+3)), p, compareValues); diff != "" {
			t.Fatalf("number %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestHistoryThatCannotBeReadIsSetAside(t *testing.T) {
	for _, content := range []string{`{"format":1,"deploy`, `{"format":99}`} {
		d := newDir(t)
		path := filepath.Join(d.State, historyFile)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		err := d.Remember(past("1"))
		var aside *UnreadableHistoryError
		if !errors.As(err, &aside) {
			t.Fatalf("%s: got %v", content, err)
		}
		if b, err := os.ReadFile(aside.Aside); err != nil || string(b) != content {
			t.Errorf("%s: set aside is %q, %v", content, b, err)
		}
		if h, err := d.History(); err != nil || len(h.Deployments) != 1 {
			t.Errorf("%s: got %+v, %v, want one that begins anew", content, h, err)
		}
		if err := d.Remember(past("2")); err != nil {
			t.Errorf("%s: the next one: %v", content, err)
		}
	}
}
