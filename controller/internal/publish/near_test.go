package publish

import (
	"slices"
	"testing"
	"time"

	"kedge/proto"
)

func TestCachesNearAHostComeWithEveryAssignment(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	want := func(when string, near ...string) {
		t.Helper()
		a, err := proto.OpenAssignment(w.shelf.records[web1].Desired.Assignment, w.signer.ControllerKeys())
		if err != nil {
			t.Fatal(err)
		}
		if want := append(slices.Clone(near), "http://build.example:8080/cache"); !slices.Equal(a.From(), want) || len(a.Caches) != 1 {
			t.Errorf("%s: got %q before %q, want %q", when, a.Near, a.Caches, want)
		}
	}
	renew := func(after time.Duration) {
		t.Helper()
		w.clock = w.clock.Add(after)
		if err := p.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p.Near(map[proto.HostName][]string{web1: {"http://a/"}})
	w.mustPublish(t, p, w.toplevels[0])
	want("published", "http://a/")
	p = w.open(t)
	renew(proto.AssignmentRenewal)
	want("renewed after a start", "http://a/")
	w.mustPublish(t, p, w.toplevels[1])
	want("published after a start", "http://a/")
	p.Near(map[proto.HostName][]string{web1: {"http://b/"}})
	renew(time.Minute)
	want("once there are others", "http://b/")
	p.Near(map[proto.HostName][]string{web1: nil})
	renew(time.Minute)
	want("once there are none")
}

// TestCachesOfOthersAreNotTheControllers: they come after those near, and no token is for
// them.
func TestCachesOfOthersAreNotTheControllers(t *testing.T) {
	w := newWorld(t)
	open := func() *Publisher {
		t.Helper()
		o := w.options()
		o.Caches, o.Others = nil, []string{"https://fleet.example/"}
		p, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open()
	p.Near(map[proto.HostName][]string{web1: {"http://a/"}})
	w.mustPublish(t, p, w.toplevels[0])
	for _, when := range []string{"published", "renewed", "renewed after a start"} {
		a, err := proto.OpenAssignment(w.shelf.records[web1].Desired.Assignment, w.signer.ControllerKeys())
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"http://a/", "https://fleet.example/"}; !slices.Equal(a.Near, want) || len(a.Caches) > 0 {
			t.Errorf("%s: got %q before %q, want %q before none", when, a.Near, a.Caches, want)
		}
		if when == "renewed" {
			p = open()
		}
		w.clock = w.clock.Add(proto.AssignmentRenewal)
		if err := p.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
