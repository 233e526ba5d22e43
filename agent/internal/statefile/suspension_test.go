package statefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kedge/internal/durable"
)

func TestSuspension(t *testing.T) {
	d := newDir(t)
	if err := d.Resume(); err != nil {
		t.Errorf("resume what is not suspended: %v", err)
	}
	check(t, d, suspensionFile, d.Suspension, d.Suspend, Suspension{Since: noon, Until: noon.Add(time.Hour), Reason: "disk swap", By: "ada"})

	if err := os.WriteFile(filepath.Join(d.State, suspensionFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var torn *durable.CorruptError
	if _, err := d.Suspension(); !errors.As(err, &torn) {
		t.Errorf("torn: got %v", err)
	}
	if err := d.Resume(); err != nil {
		t.Errorf("resume from a torn suspension: %v", err)
	}
	if s, err := d.Suspension(); err != nil || s != (Suspension{}) {
		t.Errorf("after it: got %+v, %v", s, err)
	}
}

func TestSuspensionInForce(t *testing.T) {
	bounded := Suspension{Since: noon, Until: noon.Add(time.Hour)}
	for _, tt := range []struct {
		name string
		s    Suspension
		at   time.Time
		want bool
	}{
		{"none", Suspension{}, noon, false},
		{"for good", Suspension{Since: noon}, noon.Add(10000 * time.Hour), true},
		{"bounded", bounded, noon.Add(59 * time.Minute), true},
		{"over", bounded, noon.Add(time.Hour), false},
		{"with a clock that was set back", bounded, noon.Add(-time.Hour), true},
	} {
		if got := tt.s.InForce(tt.at); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestSuspensionSaysWhatIsKnown(t *testing.T) {
	for want, s := range map[string]Suspension{
		"by ada until 2026-11-22T12:00:00Z: disk swap": {Since: noon, Until: noon, By: "ada", Reason: "disk swap"},
		"by ada":    {Since: noon, By: "ada"},
		"disk swap": {Since: noon, Reason: "disk swap"},
		"":          {Since: noon},
	} {
		if got := s.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
