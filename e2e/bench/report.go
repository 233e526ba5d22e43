package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// A report is what the rounds come to. Durations are in seconds, memory is in
// MiB; of everything that was measured more than once it has the median.
type report struct {
	Rounds  int       `json:"rounds"`
	One     flows     `json:"one_host"`
	Four    flows     `json:"four_hosts"`
	RSS     float64   `json:"agent_idle_rss_mib"`
	PSS     float64   `json:"agent_idle_pss_mib"`
	Targets []target  `json:"targets"`
	Time    time.Time `json:"time"`
}

// flows is a change to so many hosts, both ways.
type flows struct {
	Kedge  measured `json:"kedge"`
	Manual measured `json:"manual"`
	// InTurn is by hand, one host after the other. Zero for one host.
	InTurn measured `json:"manual_in_turn,omitzero"`
}

// measured are the medians of one flow.
type measured struct {
	Activated float64          `json:"push_to_activated_s"`
	Committed float64          `json:"push_to_committed_s,omitempty"`
	Lag       float64          `json:"commit_after_grace_s,omitempty"`
	CPU       float64          `json:"host_cpu_s"`
	Parts     map[part]float64 `json:"parts_s,omitempty"`
	// All are the rounds' own times until activation, in their order.
	All []float64 `json:"push_to_activated_all_s"`
}

// A target is what is to be reached.
type target struct {
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	AtMost  float64 `json:"at_most"`
	Reached bool    `json:"reached"`
}

func newReport(rounds []round, m memory) report {
	r := report{
		One:  flows{Kedge: medians(rounds, byKedge, few), Manual: medians(rounds, byHand, few)},
		Four: flows{Kedge: medians(rounds, byKedge, all), Manual: medians(rounds, byHand, all), InTurn: medians(rounds, inTurn, all)},
		RSS:  median(m.rss),
		PSS:  median(m.pss),
		Time: time.Now().UTC(),
	}
	r.Rounds = len(r.One.Kedge.All)
	for _, t := range []target{
		{Name: "push to activated, one host: kedge / manual", Value: r.One.Kedge.Activated / r.One.Manual.Activated, AtMost: 1},
		{Name: "push to activated, four hosts: kedge / manual, the hosts side by side", Value: r.Four.Kedge.Activated / r.Four.Manual.Activated, AtMost: 0.6},
		{Name: "push to activated, four hosts: kedge / manual, one host after the other", Value: r.Four.Kedge.Activated / r.Four.InTurn.Activated, AtMost: 0.6},
		{Name: "commit after the grace period, one host, s", Value: r.One.Kedge.Lag, AtMost: 2},
		{Name: "commit after the grace period, slowest of four, s", Value: r.Four.Kedge.Lag, AtMost: 2},
		{Name: "processor time on the host, one host: kedge / manual", Value: r.One.Kedge.CPU / r.One.Manual.CPU, AtMost: 1},
		{Name: "processor time on the host, four hosts: kedge / manual", Value: r.Four.Kedge.CPU / r.Four.Manual.CPU, AtMost: 1},
		{Name: "memory of an idle agent (RSS), MiB", Value: r.RSS, AtMost: 20},
	} {
		t.Reached = t.Value <= t.AtMost
		r.Targets = append(r.Targets, t)
	}
	return r
}

// medians are those of the rounds of one flow to so many hosts.
func medians(rounds []round, f flow, hosts int) measured {
	var activated, committed, lag, cpu []float64
	byPart := map[part][]float64{}
	for _, r := range rounds {
		if r.flow != f || r.hosts != hosts {
			continue
		}
		activated = append(activated, r.activated.Seconds())
		committed = append(committed, r.committed.Seconds())
		lag = append(lag, r.lag.Seconds())
		cpu = append(cpu, r.cpu.Seconds())
		for p, d := range r.parts {
			byPart[p] = append(byPart[p], d.Seconds())
		}
	}
	m := measured{
		Activated: median(activated), Committed: median(committed), Lag: median(lag), CPU: median(cpu),
		Parts: map[part]float64{}, All: activated,
	}
	for p, ds := range byPart {
		m.Parts[p] = median(ds)
	}
	return m
}

// median returns the middle of values, the mean of the two in the middle if
// their number is even, and 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

func (r report) writeJSON(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
