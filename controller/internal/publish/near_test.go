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
