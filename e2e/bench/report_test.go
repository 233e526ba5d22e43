package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 2, 100}, 3},
	} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.values, got, tt.want)
		}
	}
}

func TestReport(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	rounds := []round{
		{flow: byKedge, hosts: few, activated: ms(1000), committed: ms(12000), lag: ms(400), cpu: ms(900), parts: map[part]time.Duration{partFetch: ms(100)}},
		{flow: byHand, hosts: few, activated: ms(2000), cpu: ms(800)},
		{flow: byKedge, hosts: all, activated: ms(3000), committed: ms(14000), lag: ms(2500), cpu: ms(700)},
		{flow: byHand, hosts: all, activated: ms(4000), cpu: ms(1000)},
		{flow: inTurn, hosts: all, activated: ms(6000), cpu: ms(1000)},
	}
	r := newReport(rounds, memory{rss: []float64{14, 30, 12}, pss: []float64{13}})
	got := map[string]bool{}
	for _, target := range r.Targets {
		got[target.Name] = target.Reached
	}
	want := map[string]bool{
		"push to activated, one host: kedge / manual":                             true,  // 0.5
		"push to activated, four hosts: kedge / manual, the hosts side by side":   false, // 0.75
		"push to activated, four hosts: kedge / manual, one host after the other": true,  // 0.5
		"commit after the grace period, one host, s":                              true,
		"commit after the grace period, slowest of four, s":                       false,
		"processor time on the host, one host: kedge / manual":                    false,
		"processor time on the host, four hosts: kedge / manual":                  true,
		"memory of an idle agent (RSS), MiB":                                      true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("targets reached (-want +got):\n%s", diff)
	}

	var table strings.Builder
	if err := r.writeTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"push → activated", "0.50", "by hand in turn", "6.000", "fetch", "0.100", "missed     0.75 of at most 0.6"} {
		if !strings.Contains(table.String(), line) {
			t.Errorf("the table lacks %q:\n%s", line, table.String())
		}
	}
}

func TestMebibytes(t *testing.T) {
	const text = "VmRSS:\t   14336 kB\nRss:               100 kB\nPss:                2048 kB\nPss_Dirty:          1 kB\n"
	for field, want := range map[string]float64{"VmRSS:": 14, "Pss:": 2} {
		if got, err := mebibytes(text, field); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", field, got, err, want)
		}
	}
	if _, err := mebibytes(text, "Swap:"); err == nil {
		t.Error("a field that is not there: no error")
	}
}
