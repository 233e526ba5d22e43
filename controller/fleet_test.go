package controller

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kedge/proto"
)

func host(t testing.TB, s string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// status returns what a host says that has a deployment in a phase.
func status(h proto.HostName, serial proto.Serial, p proto.Phase) proto.Status {
	return proto.Status{Host: h, Serial: serial, Deployment: proto.DeploymentStatus{Serial: serial, Phase: p, Verdict: p.Verdict()}}
}

func TestFleetShowsWhatItWasTold(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	f := NewFleet(func() time.Time { return now })
	web1, web2 := host(t, "web1"), host(t, "web2")
	want := proto.Target{Serial: 1, Published: now}
	s := status(web1, 1, proto.PhaseProbation)
	problem := &proto.Problem{Reason: proto.ReasonBuildFailed, Time: now}

	f.Trouble(web2, problem)
	f.Want(web1, want)
	f.Apply(s, now)
	got := f.View()
	if diff := cmp.Diff([]proto.HostView{
		{Host: web1, Want: want, Status: &s, Seen: now},
		{Host: web2, Problem: problem},
	}, got.Hosts, cmpopts.EquateComparable(proto.HostName{}, proto.StorePath{}, proto.Revision{}, proto.Digest{})); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	f.Solved(web2, revision(t, "b"))
	if r, _ := f.Host(web2); r.Host.Problem == nil {
		t.Error("what stood in the way of one revision is forgotten because of another")
	}
	f.Solved(web2, problem.Revision)
	if r, _ := f.Host(web2); r.Host.Problem != nil {
		t.Errorf("problem = %+v after it was solved", r.Host.Problem)
	}
}

// TestAHostIsNotHeardOfInTheFuture: the clock of the NATS server was wrong when it stored
// what the host said.
func TestAHostIsNotHeardOfInTheFuture(t *testing.T) {
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	web1 := host(t, "web1")
	for name, hear := range map[string]func(*Fleet, time.Time){
		"a status":    func(f *Fleet, at time.Time) { f.Apply(status(web1, 1, proto.PhaseCommitted), at) },
		"a heartbeat": func(f *Fleet, at time.Time) { f.Heard(web1, "", at) },
	} {
		t.Run(name, func(t *testing.T) {
			now := start
			f := NewFleet(func() time.Time { return now })
			hear(f, start.AddDate(1, 0, 0))
			if v, _ := f.Host(web1); v.Host.Seen != start || v.Host.Silent {
				t.Errorf("seen %s, silent %t", v.Host.Seen, v.Host.Silent)
			}
			now = start.AddDate(0, 0, 1)
			f.Sweep()
			if v, _ := f.Host(web1); !v.Host.Silent {
				t.Errorf("it is not silent a day later; seen %s", v.Host.Seen)
			}
		})
	}
}

func TestFleetVersions(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	web1, web2 := host(t, "web1"), host(t, "web2")
	for _, tt := range []struct {
		name   string
		do     func(*Fleet)
		change bool
	}{
		{"a status is news", func(f *Fleet) { f.Apply(status(web1, 1, proto.PhaseAccepted), now) }, true},
		{"a heartbeat of a host that was heard before is none", func(f *Fleet) { f.Heard(web1, "", now) }, false},
		{"a new host is news", func(f *Fleet) { f.Enrolled(web2, proto.HostKey{}) }, true},
		{"the key that it has already is none", func(f *Fleet) { f.Enrolled(web1, proto.HostKey{PublicKey: "UA"}) }, false},
		{"another key of a known host is", func(f *Fleet) { f.Enrolled(web1, proto.HostKey{PublicKey: "UB"}) }, true},
		{"an assignment that was only signed anew is none", func(f *Fleet) { f.Want(web1, proto.Target{Serial: 1}) }, false},
		{"another assignment is news", func(f *Fleet) { f.Want(web1, proto.Target{Serial: 2}) }, true},
		{"no problem where there was none is none", func(f *Fleet) { f.Trouble(web1, nil) }, false},
		{"a look at the source is news", func(f *Fleet) { f.Looked(proto.SourceStatus{Checked: now}) }, true},
		{"the same revision built again is none", func(f *Fleet) { f.Built("main", proto.Revision{}) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := NewFleet(func() time.Time { return now })
			f.Heard(web1, "", now)
			f.Want(web1, proto.Target{Serial: 1})
			f.Enrolled(web1, proto.HostKey{PublicKey: "UA"})
			before := f.Version()
			tt.do(f)
			if got := f.Version() != before; got != tt.change {
				t.Errorf("changed = %t, want %t", got, tt.change)
			}
		})
	}
}

func TestFleetVersionsGrowOverRestarts(t *testing.T) {
	now := time.Now()
	before := NewFleet(func() time.Time { return now })
	for range 10 {
		before.Looked(proto.SourceStatus{})
	}
	after := NewFleet(func() time.Time { return now.Add(time.Second) })
	if after.Version() <= before.Version() {
		t.Errorf("version %d after a restart, %d before", after.Version(), before.Version())
	}
}

func TestFleetSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web1, web2 := host(t, "web1"), host(t, "web2")
		f := NewFleet(time.Now)
		f.Enrolled(web2, proto.HostKey{})
		f.Heard(web1, "", time.Now())
		silent := func(h proto.HostName) bool {
			r, _ := f.Host(h)
			return r.Host.Silent
		}
		time.Sleep(SilentAfter)
		f.Sweep()
		if silent(web1) || silent(web2) {
			t.Error("silent at the last moment of three heartbeats")
		}
		time.Sleep(time.Second)
		f.Heard(web1, "", time.Now())
		f.Sweep()
		if silent(web1) {
			t.Error("web1 is silent, and was just heard")
		}
		if !silent(web2) {
			t.Error("web2 was never heard of, and is not silent")
		}
		before := f.Version()
		f.Heard(web2, "", time.Now())
		if silent(web2) || f.Version() == before {
			t.Error("the end of a silence is no news")
		}
		f.Heard(web2, "", time.Now().Add(-time.Hour)) // an old message, late
		if r, _ := f.Host(web2); !r.Host.Seen.Equal(time.Now()) {
			t.Errorf("seen = %s, want now", r.Host.Seen)
		}
	})
}

func TestFleetAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web1, web2 := host(t, "web1"), host(t, "web2")
		f := NewFleet(time.Now)
		f.Enrolled(web1, proto.HostKey{})
		f.Enrolled(web2, proto.HostKey{})
		r, _ := f.Host(web1)
		seen := make(chan string, 2)
		go func() { f.Await(t.Context(), f.Version()); seen <- "fleet" }()
		go func() { f.AwaitHost(t.Context(), web1, r.Version); seen <- "web1" }()
		synctest.Wait()

		f.Apply(status(web2, 1, proto.PhaseAccepted), time.Now())
		if got := <-seen; got != "fleet" {
			t.Errorf("%s woke up for web2", got)
		}
		synctest.Wait()
		if len(seen) != 0 {
			t.Errorf("%s woke up for web2", <-seen)
		}
		f.Apply(status(web1, 1, proto.PhaseAccepted), time.Now())
		if got := <-seen; got != "web1" {
			t.Errorf("%s woke up for web1", got)
		}

		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f.Await(ctx, f.Version())
		if got := time.Since(began); got != time.Minute {
			t.Errorf("waited %s without news, want a minute", got)
		}
		f.Await(t.Context(), 1) // of another life: returns at once
	})
}

func BenchmarkFleetApply(b *testing.B) {
	f := NewFleet(time.Now)
	hosts := make([]proto.HostName, 10_000)
	for i := range hosts {
		hosts[i] = host(b, "host-"+strconv.Itoa(i))
		f.Enrolled(hosts[i], proto.HostKey{})
	}
	now := time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f.Apply(status(hosts[i%len(hosts)], 1, proto.PhaseProbation), now)
	}
}
