package controller

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/cache"
	"kedge/proto"
)

// knownClosures lists the closures of some toplevels, which have one more package
// each than what they are called after.
type knownClosures map[proto.StorePath]proto.Closure

func (k knownClosures) Closures(_ context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	found := cache.Closures{}
	for _, p := range toplevels {
		if _, known := k[p]; !known {
			return nil, errors.New("path is not valid")
		}
		found[p] = k[p]
	}
	return found, nil
}

func TestAHostIsComparedWithWhatItRunsOrWasAssigned(t *testing.T) {
	web1, runs, wanted, foreign, next := host(t, "web1"), storePath(t, "runs"), storePath(t, "wanted"), storePath(t, "foreign"), storePath(t, "next")
	closure := func(name string) proto.Closure { return proto.Closure{{Path: storePath(t, name), NarSize: 10}} }
	known := knownClosures{runs: closure("nginx-1"), wanted: closure("nginx-2"), next: closure("nginx-3")}
	for name, tt := range map[string]struct {
		runs, want proto.StorePath
		to         proto.StorePath
		from       proto.StorePath // that it is compared with; zero if it is not
	}{
		"it runs something":             {runs, wanted, next, runs},
		"it runs what nobody here has":  {foreign, wanted, next, wanted},
		"it said nothing":               {proto.StorePath{}, wanted, next, wanted},
		"it runs that already":          {next, wanted, next, proto.StorePath{}},
		"nothing is known":              {proto.StorePath{}, proto.StorePath{}, next, proto.StorePath{}},
		"all that it had is gone":       {foreign, foreign, next, proto.StorePath{}},
		"it runs what it was to go to ": {wanted, wanted, next, wanted},
	} {
		fleet := NewFleet(time.Now)
		if !tt.runs.IsZero() {
			fleet.Apply(proto.Status{Host: web1, Systems: proto.Systems{Current: tt.runs}}, time.Now())
		}
		fleet.Want(web1, proto.Target{Serial: 1, Toplevel: tt.want})
		d := differ{closures: known, fleet: fleet, log: slog.New(slog.DiscardHandler)}
		d.compare(t.Context(), map[proto.HostName]proto.StorePath{web1: tt.to}, cache.Closures{next: known[next]})
		r, _ := fleet.Host(web1)
		if tt.from.IsZero() {
			if r.Host.Changes != nil {
				t.Errorf("%s: got %+v, want nothing", name, r.Host.Changes)
			}
			continue
		}
		c := r.Host.Changes
		if c == nil || c.From != tt.from || c.To != next || c.Upgraded != 1 || len(c.Packages) != 1 {
			t.Errorf("%s: got %+v, want it to be compared with %s", name, c, tt.from)
			continue
		}
		if c := fleet.View().Hosts[0].Changes; c == nil || c.Upgraded != 1 || len(c.Packages) != 0 {
			t.Errorf("%s: in the fleet: got %+v, want the counts alone", name, c)
		}
	}
}

// TestARolloutSaysWhatItBrings: also before a host has it.
func TestARolloutSaysWhatItBrings(t *testing.T) {
	r, said := newRunner(), strings.Builder{}
	r.log = slog.New(slog.NewTextHandler(&said, nil))
	for _, h := range []string{"web1", "web2"} {
		r.fleet.Change(host(t, h), proto.Changes{To: storePath(t, "a"), Upgraded: 2, Boot: []string{"kernel"}, Packages: []proto.PackageChange{{Name: "linux"}}})
	}
	r.fleet.Change(host(t, "web3"), proto.Changes{To: storePath(t, "another"), Upgraded: 1})
	r.deployAs(t, "1", canaryFirst, fleetOf(t, "a"))
	for _, h := range r.fleet.Rollout("main").Hosts {
		switch known := h.Changes != nil; {
		case known != (h.Host != host(t, "web3")):
			t.Errorf("%s: changes %+v", h.Host, h.Changes)
		case known && (h.Changes.Upgraded != 2 || len(h.Changes.Packages) > 0):
			t.Errorf("%s: changes %+v, want 2 upgraded, and no names", h.Host, h.Changes)
		}
	}
	if want := `changes="2 upgraded, +0.0 KiB; with a reboot: kernel"`; !strings.Contains(said.String(), want) {
		t.Errorf("the log says %s, want %s", said.String(), want)
	}
}
