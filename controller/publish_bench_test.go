package controller_test

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"kedge/controller/controllertest"
	"kedge/proto"
)

// BenchmarkPublish has a revision published for 1,000 hosts, by a whole controller: every
// desired state is signed, on disk, and in NATS. It fails over its budget, as
// BenchmarkNext does: on a quiet machine.
func BenchmarkPublish(b *testing.B) {
	const hosts = 1000
	const budget = 2.0 // seconds
	took := []float64{}
	for b.Loop() {
		w := &controllertest.World{}
		w.Push(manyHosts(b, hosts))
		c, err := controllertest.Start(b.Context(), b.TempDir(), w, io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.AwaitRollout(b.Context(), func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutDone }); err != nil {
			b.Fatal(err)
		}
		took = append(took, publishing(b, c))
		if err := c.Stop(); err != nil {
			b.Fatal(err)
		}
	}
	least := slices.Min(took)
	if b.ReportMetric(least, "s/publish"); least > budget {
		b.Errorf("it took %.1f s, and has %.1f s", least, budget)
	}
}

// manyHosts returns a fleet, each host with a toplevel of its own.
func manyHosts(b *testing.B, n int) controllertest.Flake {
	b.Helper()
	f := controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{}}
	for i := range n {
		name := fmt.Sprintf("host-%04d", i)
		host, err := proto.ParseHostName(name)
		if err != nil {
			b.Fatal(err)
		}
		if f.Toplevels[host], err = controllertest.Toplevel(name); err != nil {
			b.Fatal(err)
		}
	}
	return f
}

// publishing returns how many seconds the controller has spent on publishing.
func publishing(b *testing.B, c *controllertest.Running) float64 {
	b.Helper()
	all, err := c.Registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, family := range all {
		if family.GetName() != "kedge_controller_stage_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == "publish" {
					return m.GetHistogram().GetSampleSum()
				}
			}
		}
	}
	b.Fatal("nothing was published")
	return 0
}
