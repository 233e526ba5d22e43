package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/controller/internal/lease"
)

func TestLeaseMetrics(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	l := lease.NewLedger(lease.Options{Bus: &oneKey{}, Rules: lease.Rules{Slots: 2}, Now: clock})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newLeaseCollector(l, clock))
	shows := func(when, want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	const slots = `
# HELP kedge_controller_reboot_lease_slots How many hosts may have a reboot lease at a time.
# TYPE kedge_controller_reboot_lease_slots gauge
kedge_controller_reboot_lease_slots 2
`
	shows("before anything is known", slots)
	if _, err := l.Holders(t.Context()); err != nil {
		t.Fatal(err)
	}
	const held = slots + `
# HELP kedge_controller_reboot_leases Hosts that have a reboot lease; not shown until that is known.
# TYPE kedge_controller_reboot_leases gauge
`
	shows("nobody", held+"kedge_controller_reboot_leases 0\n")
	if _, err := l.Acquire(t.Context(), host(t, "web1"), "7-1"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(90 * time.Second)
	shows("a while later", held+`kedge_controller_reboot_leases 1
# HELP kedge_controller_reboot_lease_age_seconds How long each host that has a reboot lease has had it.
# TYPE kedge_controller_reboot_lease_age_seconds gauge
kedge_controller_reboot_lease_age_seconds{host="web1"} 90
`)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if _, _, err := l.Release(t.Context(), host(t, "web1")); err != nil {
		t.Fatal(err)
	}
	shows("in the end", held+"kedge_controller_reboot_leases 0\n")
}
