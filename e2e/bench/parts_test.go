package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const journal = `{"MESSAGE":"level=INFO msg=\"revision found\" revision=4e1f looked_for=153µs","__REALTIME_TIMESTAMP":"1700000000100000"}
{"MESSAGE":"level=INFO msg=published host=web1 serial=7 toplevel=/nix/store/x revision=4e1f","__REALTIME_TIMESTAMP":"1700000000900000"}
{"MESSAGE":"level=INFO msg=\"revision published\" revision=4e1f failed=0 took.source=20ms took.evaluation=200ms took.build=1.2s took.cache=0s","__REALTIME_TIMESTAMP":"1700000000910000"}
`

func TestParseStages(t *testing.T) {
	got, err := parseStages([]byte(journal))
	if err != nil {
		t.Fatal(err)
	}
	want := stages{
		found:     time.UnixMicro(1_700_000_000_100_000),
		took:      map[string]time.Duration{"source": 20 * time.Millisecond, "evaluation": 200 * time.Millisecond, "build": 1200 * time.Millisecond, "cache": 0},
		published: map[string]time.Time{"web1": time.UnixMicro(1_700_000_000_900_000)},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(stages{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, text := range map[string]string{"nothing": "", "no JSON": "-- No entries --\n", "no stages": `{"MESSAGE":"x","__REALTIME_TIMESTAMP":"1"}`} {
		if got, err := parseStages([]byte(text)); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// The parts are all of the way, also where clocks are read in another order.
func TestCutterLeavesNothingOut(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	c := cutter{at: begin, parts: map[part]time.Duration{}}
	c.until(partTrigger, begin.Add(100*time.Millisecond))
	c.until(partPublish, begin.Add(300*time.Millisecond))
	c.until(partNotify, begin.Add(290*time.Millisecond)) // the host was faster than the log
	c.until(partFetch, begin.Add(500*time.Millisecond))
	want := map[part]time.Duration{
		partTrigger: 100 * time.Millisecond, partPublish: 200 * time.Millisecond, partNotify: 0, partFetch: 200 * time.Millisecond,
	}
	if diff := cmp.Diff(want, c.parts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestManualParts(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	const log = "1700000000.500000 build\n1700000000.700000 copy web2\n1700000000.800000 copy web1\n1700000000.900000 set web2\n1700000001.000000 set web1\n"
	got, err := manualParts(log, "web1", begin, begin.Add(1800*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	want := map[part]time.Duration{
		partBuild: 500 * time.Millisecond, partCopy: 300 * time.Millisecond, partSet: 200 * time.Millisecond, partSwitch: 800 * time.Millisecond,
	}
	about := cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() < time.Millisecond })
	if diff := cmp.Diff(want, got, about); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := manualParts("1700000000.500000 build\n", "web1", begin, begin); err == nil {
		t.Errorf("steps are missing: got %v", got)
	}
}
