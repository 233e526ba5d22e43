package replica

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// TestTheRolloutOfALargeFleetIsShared, which does not fit into one key, also when everybody
// has come to something.
func TestTheRolloutOfALargeFleetIsShared(t *testing.T) {
	const hosts = 20_000
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it is for a test
	system := func(name proto.HostName, what string) proto.StorePath {
		const letters = "0123456789abcdfghijklmnpqrsvwxyz"
		hash := sha256.Sum256([]byte(name.String() + what))
		for i := range hash {
			hash[i] = letters[hash[i]%32]
		}
		p, err := proto.ParseStorePath(fmt.Sprintf("%s%s-nixos-system-%s-26.11.20261127.0123456", proto.StoreDir, hash, name))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	d := rollout.Draft{ID: "r", Created: now, Fleet: rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{}}}
	for i := range hosts {
		name, err := proto.ParseHostName(fmt.Sprint("web", i))
		if err != nil {
			t.Fatal(err)
		}
		d.Targets = append(d.Targets, rollout.Target{Host: name, Toplevel: system(name, "new")})
		d.Fleet.Hosts[name] = rollout.Host{
			Toplevel: system(name, "old"), Release: proto.DigestOf([]byte(name.String())), Serial: 1, Reported: 1,
			Verdict: proto.VerdictSucceeded, Seen: now,
		}
	}
	r, err := rollout.Plan(d)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range r.Hosts {
		p.State, p.Verdict, p.Serial = rollout.Settled, proto.VerdictSucceeded, proto.Serial(2+random.IntN(100))
		p.Since = now.Add(time.Duration(random.IntN(100)) * 100 * time.Millisecond) // a look at the fleet settles many
		r.Hosts[name] = p
	}
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	a.save(t, "operators.json", string(data))
	for _, e := range b.all {
		if len(e.data) > maxSealed {
			t.Errorf("%s has %d bytes, and at most %d fit", e.key, len(e.data), maxSealed)
		}
	}
	if in := len(a.pieces.full("operators.json")); in < 2 {
		t.Errorf("it is in %d pieces: this shows nothing", in)
	}
	open(t, b, t.TempDir()).lead(t).has(t, map[string]string{"operators.json": string(data)})
}
