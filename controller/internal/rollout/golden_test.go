package rollout_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

var update = flag.Bool("update", false, "write the golden files anew")

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A golden case is what Next is given, and what it answers.
type goldenCase struct {
	Rollout rollout.Rollout
	Fleet   rollout.Fleet
	Now     time.Time
	Actions []rollout.Action
}

func TestNext(t *testing.T) {
	fresh := newRollout(t)
	published := after(t, fresh, fleet(t))
	settled := after(t, published, reported(t, proto.VerdictSucceeded))
	ended := after(t, settled, reported(t, proto.VerdictSucceeded))
	for name, c := range map[string]goldenCase{
		"publishes to everybody at first": {Rollout: fresh, Fleet: fleet(t)},
		"keeps a host that was assigned the same": {Rollout: fresh, Fleet: rollout.Fleet{
			host(t, "web1"): {Toplevel: toplevel(t, "web1"), Serial: 3, Reported: 3, Verdict: proto.VerdictSucceeded},
			host(t, "db1"):  {Toplevel: toplevel(t, "old"), Serial: 8, Reported: 8, Verdict: proto.VerdictSucceeded},
		}},
		"publishes to hosts that were never heard of":  {Rollout: fresh, Fleet: nil},
		"waits for a verdict":                          {Rollout: published, Fleet: reported(t, proto.VerdictPending)},
		"settles hosts whatever the verdict":           {Rollout: published, Fleet: mixed(t)},
		"does not take an old verdict for a new one":   {Rollout: published, Fleet: stale(t)},
		"settles a host that somebody else assigned":   {Rollout: published, Fleet: overtaken(t)},
		"ends the wave when everybody settled":         {Rollout: settled, Fleet: reported(t, proto.VerdictSucceeded)},
		"ends the wave without silent hosts":           {Rollout: published, Fleet: silent(t)},
		"finishes after the last wave":                 {Rollout: ended, Fleet: reported(t, proto.VerdictSucceeded)},
		"soaks before the wave ends":                   {Rollout: soaking(settled), Fleet: reported(t, proto.VerdictSucceeded)},
		"ends the wave after soaking":                  {Rollout: soaking(settled), Fleet: reported(t, proto.VerdictSucceeded), Now: start.Add(time.Hour)},
		"takes a better verdict after a retry":         {Rollout: after(t, published, mixed(t)), Fleet: reported(t, proto.VerdictSucceeded)},
		"does nothing for a rollout that is done":      {Rollout: after(t, ended, nil), Fleet: mixed(t)},
		"finishes a rollout of nobody":                 {Rollout: rollout.New("empty", proto.Revision{}, start, nil)},
		"starts the second wave when the first is out": {Rollout: secondWave(t), Fleet: fleet(t)},
	} {
		t.Run(name, func(t *testing.T) {
			if c.Now.IsZero() {
				c.Now = start
			}
			c.Actions = rollout.Next(c.Rollout, c.Fleet, c.Now)
			got, err := json.MarshalIndent(c, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, append(got, '\n'))
		})
	}
}

// compareGolden compares got with the golden file of the test.
func compareGolden(t *testing.T, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", filepath.Base(t.Name())+".json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func newRollout(t *testing.T) rollout.Rollout {
	revision, err := proto.ParseRevision("0123456789abcdef0123456789abcdef01234567")
	if err != nil {
		t.Fatal(err)
	}
	var targets []rollout.Target
	for _, name := range []string{"web1", "db1", "web2"} {
		targets = append(targets, rollout.Target{Host: host(t, name), Toplevel: toplevel(t, name)})
	}
	return rollout.New("r1", revision, start, targets)
}

// after returns r after everything that Next asked for was done, once. Serials
// are 10 for everybody.
func after(t *testing.T, r rollout.Rollout, f rollout.Fleet) rollout.Rollout {
	t.Helper()
	for _, a := range rollout.Next(r, f, start) {
		var serial proto.Serial
		if a.Kind == rollout.Publish {
			serial = 10
		}
		next, err := r.Apply([]rollout.Result{{Action: a, Serial: serial}}, start)
		if err != nil {
			t.Fatal(err)
		}
		r = next
	}
	return r
}

// fleet returns a fleet that runs something older.
func fleet(t *testing.T) rollout.Fleet {
	f := rollout.Fleet{}
	for _, name := range []string{"web1", "db1", "web2"} {
		f[host(t, name)] = rollout.Host{Toplevel: toplevel(t, "old"), Serial: 9, Reported: 9, Verdict: proto.VerdictSucceeded}
	}
	return f
}

// reported returns the fleet after everybody was published serial 10 and said
// v about it.
func reported(t *testing.T, v proto.Verdict) rollout.Fleet {
	f := rollout.Fleet{}
	for _, name := range []string{"web1", "db1", "web2"} {
		f[host(t, name)] = rollout.Host{Toplevel: toplevel(t, name), Serial: 10, Reported: 10, Verdict: v}
	}
	return f
}

func mixed(t *testing.T) rollout.Fleet {
	f := reported(t, proto.VerdictSucceeded)
	change(t, f, "web2", func(h *rollout.Host) { h.Verdict = proto.VerdictRolledBack })
	change(t, f, "db1", func(h *rollout.Host) { h.Verdict = proto.VerdictPending })
	return f
}

func stale(t *testing.T) rollout.Fleet {
	f := reported(t, proto.VerdictSucceeded)
	for h, v := range f {
		v.Reported = 9
		f[h] = v
	}
	return f
}

func overtaken(t *testing.T) rollout.Fleet {
	f := reported(t, proto.VerdictPending)
	change(t, f, "web1", func(h *rollout.Host) { h.Toplevel, h.Serial = toplevel(t, "other"), 11 })
	return f
}

func silent(t *testing.T) rollout.Fleet {
	f := reported(t, proto.VerdictPending)
	for h, v := range f {
		v.Silent = true
		f[h] = v
	}
	return f
}

func change(t *testing.T, f rollout.Fleet, name string, how func(*rollout.Host)) {
	t.Helper()
	h := f[host(t, name)]
	how(&h)
	f[host(t, name)] = h
}

func soaking(r rollout.Rollout) rollout.Rollout {
	r.Waves = append([]rollout.Wave(nil), r.Waves...)
	r.Waves[0].Soak = time.Hour
	return r
}

// secondWave returns a rollout whose first wave, web1, has ended.
func secondWave(t *testing.T) rollout.Rollout {
	r := newRollout(t)
	r.Waves = []rollout.Wave{
		{Name: "canary", Hosts: []proto.HostName{host(t, "web1")}},
		{Name: "rest", Hosts: []proto.HostName{host(t, "db1"), host(t, "web2")}},
	}
	for range 3 { // publish, settle, end the wave
		r = after(t, r, rollout.Fleet{host(t, "web1"): {Serial: 10, Reported: 10, Verdict: proto.VerdictSucceeded}})
	}
	return r
}

func host(t *testing.T, name string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func toplevel(t *testing.T, name string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-nixos-system-" + name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
