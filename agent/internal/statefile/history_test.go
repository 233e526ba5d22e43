package statefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// unasked is who does not look at what was remembered before.
func unasked(History) error { return nil }

func TestWhoLooksAtTheHistoryComesFirst(t *testing.T) {
	d := newDir(t)
	var seen []int
	look := func(err error) func(h History) error {
		return func(h History) error {
			seen = append(seen, len(h.Deployments))
			return err
		}
	}
	locked := errors.New("locked")
	for _, tt := range []struct {
		id        string
		says, err error
	}{{"1", nil, nil}, {"2", locked, locked}, {"2", nil, nil}, {"2", locked, nil}, {"3", nil, nil}} {
		if err := d.Remember(past(tt.id), look(tt.says)); !errors.Is(err, tt.err) {
			t.Errorf("%s: Remember = %v, want %v", tt.id, err, tt.err)
		}
	}
	if want := []int{0, 1, 1, 2}; !slices.Equal(seen, want) {
		t.Errorf("looked at %d, want %d", seen, want)
	}
}

func TestHistoryKeepsTheLastOnes(t *testing.T) {
	d := newDir(t)
	for i := range HistoryLimit + 3 {
		for range 2 { // as after a crash
			if err := d.Remember(past(fmt.Sprint(i)), unasked); err != nil {
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
		err := d.Remember(past("1"), unasked)
		var aside *AsideError
		if !errors.As(err, &aside) {
			t.Fatalf("%s: got %v", content, err)
		}
		if b, err := os.ReadFile(aside.Aside); err != nil || string(b) != content {
			t.Errorf("%s: set aside is %q, %v", content, b, err)
		}
		if h, err := d.History(); err != nil || len(h.Deployments) != 1 {
			t.Errorf("%s: got %+v, %v, want one that begins anew", content, h, err)
		}
		if err := d.Remember(past("2"), unasked); err != nil {
			t.Errorf("%s: the next one: %v", content, err)
		}
	}
}
