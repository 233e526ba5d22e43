package proto_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

// Every way to be refused. Each row changes one thing of a state, of a host or
// of a clock that would have been accepted.
func TestVerifyRefuses(t *testing.T) {
	type input struct {
		desired proto.Desired
		trust   proto.Trust
		host    proto.HostName
		floor   proto.Floor
		now     time.Time
	}
	foreign := secretKey(t, "foreign", 9)
	impostor := secretKey(t, "controller-1", 9)

	// reassign makes the assignment anew, changed.
	reassign := func(in *input, change func(*proto.Assignment)) {
		a := assignment(t, in.desired.Release)
		change(&a)
		in.desired.Assignment = sealedAssignment(t, a)
	}
	// rerelease makes the release anew, changed, and an assignment of it.
	rerelease := func(in *input, change func(*proto.Release)) {
		r := release(t)
		change(&r)
		in.desired.Release = sealedRelease(t, r)
		reassign(in, func(*proto.Assignment) {})
	}
	// seal signs any text as a statement, with a trusted key.
	seal := func(typ proto.PayloadType, text string) proto.Envelope {
		if typ == proto.PayloadAssignment {
			return proto.Seal(typ, []byte(text), controllerKey(t))
		}
		return proto.Seal(typ, []byte(text), releaseKey(t))
	}

	produced := map[proto.Reason]bool{}
	for _, c := range []struct {
		name   string
		reason proto.Reason
		change func(*input)
	}{
		{"a state of nothing", proto.ReasonMalformed, func(in *input) {
			in.desired = proto.Desired{}
		}},
		{"software that nobody signed", proto.ReasonUnknownKey, func(in *input) {
			in.desired.Release = proto.Seal(proto.PayloadRelease, in.desired.Release.Payload)
		}},
		{"software that somebody else signed", proto.ReasonUnknownKey, func(in *input) {
			in.desired.Release = proto.Seal(proto.PayloadRelease, in.desired.Release.Payload, foreign)
		}},
		{"software that only the controller signed", proto.ReasonUnknownKey, func(in *input) {
			in.desired.Release = proto.Seal(proto.PayloadRelease, in.desired.Release.Payload, controllerKey(t))
		}},
		{"other software under the release's signature", proto.ReasonBadSignature, func(in *input) {
			in.desired.Release.Payload = []byte(strings.Replace(string(in.desired.Release.Payload), "s73vq", "s73v1", 1))
		}},
		{"an assignment that somebody else signed", proto.ReasonUnknownKey, func(in *input) {
			in.desired.Assignment = proto.Seal(proto.PayloadAssignment, in.desired.Assignment.Payload, foreign)
		}},
		{"an assignment that a release key signed", proto.ReasonUnknownKey, func(in *input) {
			in.desired.Assignment = proto.Seal(proto.PayloadAssignment, in.desired.Assignment.Payload, releaseKey(t))
		}},
		{"an assignment signed by another key of the controller's name", proto.ReasonBadSignature, func(in *input) {
			in.desired.Assignment = proto.Seal(proto.PayloadAssignment, in.desired.Assignment.Payload, impostor)
		}},
		{"one release key where two of three must have signed", proto.ReasonUnknownKey, func(in *input) {
			in.trust.ReleaseKeys = append(in.trust.ReleaseKeys, secretKey(t, "release-2", 4).Public(), secretKey(t, "release-3", 5).Public())
			in.trust.ReleaseThreshold = 2
		}},
		{"the same release key under two names where two must have signed", proto.ReasonUnknownKey, func(in *input) {
			again := secretKey(t, "release-2", 1)
			in.trust.ReleaseKeys = append(in.trust.ReleaseKeys, again.Public())
			in.trust.ReleaseThreshold = 2
			in.desired.Release = proto.Seal(proto.PayloadRelease, in.desired.Release.Payload, releaseKey(t), again)
		}},
		{"an assignment in the place of the release", proto.ReasonMalformed, func(in *input) {
			in.desired.Release = in.desired.Assignment
		}},
		{"an assignment that calls itself a release", proto.ReasonBadSignature, func(in *input) {
			in.trust.ReleaseKeys = in.trust.ControllerKeys // even if one key signed both
			in.desired.Release = in.desired.Assignment
			in.desired.Release.PayloadType = proto.PayloadRelease
		}},
		{"a release in the place of the assignment", proto.ReasonMalformed, func(in *input) {
			in.desired.Assignment = in.desired.Release
		}},
		{"another host's state", proto.ReasonWrongHost, func(in *input) {
			in.host = host(t, "web2")
		}},
		{"another host's release under this host's assignment", proto.ReasonWrongHost, func(in *input) {
			rerelease(in, func(r *proto.Release) { r.Host = host(t, "web2") })
		}},
		{"another host's assignment of this host's release", proto.ReasonWrongHost, func(in *input) {
			reassign(in, func(a *proto.Assignment) { a.Host = host(t, "web2") })
		}},
		{"yesterday's release under today's assignment", proto.ReasonMismatch, func(in *input) {
			old := release(t)
			old.Serial--
			in.desired.Release = sealedRelease(t, old)
		}},
		{"a lower serial than was accepted before", proto.ReasonRollback, func(in *input) {
			in.floor = proto.Floor{Serial: 8}
		}},
		{"the same serial, issued earlier than was accepted before", proto.ReasonRollback, func(in *input) {
			in.floor = proto.Floor{Serial: 7, Issued: issued.Add(time.Nanosecond)}
		}},
		{"a serial that jumps too far ahead", proto.ReasonMalformed, func(in *input) {
			in.floor = proto.Floor{Serial: 1, Issued: issued}
			reassign(in, func(a *proto.Assignment) { a.Serial = proto.MaxSerialJump + 2 })
		}},
		{"the last serial that there is", proto.ReasonMalformed, func(in *input) {
			in.floor = proto.Floor{Serial: 1, Issued: issued}
			reassign(in, func(a *proto.Assignment) { a.Serial = math.MaxUint64 })
		}},
		{"a first serial that is too far ahead", proto.ReasonMalformed, func(in *input) {
			reassign(in, func(a *proto.Assignment) { a.Serial = proto.MaxSerialJump + 1 })
		}},
		{"an assignment at its expiry", proto.ReasonExpired, func(in *input) {
			in.now = issued.Add(proto.AssignmentLifetime)
		}},
		{"a clock that is a year ahead", proto.ReasonExpired, func(in *input) {
			in.now = in.now.AddDate(1, 0, 0)
		}},
		{"a clock before what was issued", proto.ReasonClock, func(in *input) {
			in.now = issued.Add(-6 * time.Minute)
		}},
		{"a clock that begins in 1970", proto.ReasonClock, func(in *input) {
			in.now = time.Unix(0, 0)
		}},
		{"a clock before what was accepted under an earlier serial", proto.ReasonClock, func(in *input) {
			in.floor = proto.Floor{Serial: 6, Issued: issued.Add(time.Hour), Latest: issued.Add(time.Hour)}
		}},
		{"a release that this very state withdraws", proto.ReasonWithdrawn, func(in *input) {
			in.desired.Withdrawals = sealedWithdrawals(t, 1, proto.DigestOf(in.desired.Release.Payload))
		}},
		{"a release that was withdrawn before", proto.ReasonWithdrawn, func(in *input) {
			in.floor = proto.Floor{Withdrawn: []proto.Digest{proto.DigestOf(in.desired.Release.Payload)}, WithdrawalSerial: 1}
		}},
		{"a release that an older list withdrew and a newer one leaves out", proto.ReasonWithdrawn, func(in *input) {
			in.floor = proto.Floor{Withdrawn: []proto.Digest{proto.DigestOf(in.desired.Release.Payload)}, WithdrawalSerial: 1}
			in.desired.Withdrawals = sealedWithdrawals(t, 2)
		}},
		{"withdrawals that only the controller signed", proto.ReasonUnknownKey, func(in *input) {
			e := proto.Seal(proto.PayloadWithdrawals, []byte(`{"format":1,"serial":1}`), controllerKey(t))
			in.desired.Withdrawals = &e
		}},
		{"withdrawals without a serial", proto.ReasonMalformed, func(in *input) {
			e := seal(proto.PayloadWithdrawals, `{"format":1,"releases":[]}`)
			in.desired.Withdrawals = &e
		}},
		{"withdrawals of an unknown format", proto.ReasonUnknownFormat, func(in *input) {
			e := seal(proto.PayloadWithdrawals, `{"format":2,"serial":1}`)
			in.desired.Withdrawals = &e
		}},
		{"the assignment that was accepted before, at its expiry", proto.ReasonFreeze, func(in *input) {
			in.floor, in.now = proto.Floor{Serial: 7, Issued: issued, Latest: issued}, issued.Add(proto.AssignmentLifetime)
		}},
		{"anything after the floor was lost", proto.ReasonFloorsLost, func(in *input) {
			in.floor = proto.Floor{Challenge: challenge}
		}},
		{"a release of an unknown format", proto.ReasonUnknownFormat, func(in *input) {
			in.desired.Release = seal(proto.PayloadRelease, `{"format":2}`)
		}},
		{"an assignment of an unknown format", proto.ReasonUnknownFormat, func(in *input) {
			in.desired.Assignment = seal(proto.PayloadAssignment, `{"format":0}`)
		}},
		{"a release with more bytes than are read", proto.ReasonOversized, func(in *input) {
			in.desired.Release = seal(proto.PayloadRelease, `{"format":1,"padding":"`+strings.Repeat("x", proto.MaxDesired)+`"}`)
		}},
		{"a release that is not JSON", proto.ReasonMalformed, func(in *input) {
			in.desired.Release = seal(proto.PayloadRelease, `format 1`)
		}},
		{"a release without a toplevel", proto.ReasonMalformed, func(in *input) {
			in.desired.Release = seal(proto.PayloadRelease, `{"format":1,"host":"web1","serial":3,"closure":"`+closure(t).Digest().String()+`"}`)
		}},
		{"a release whose toplevel is a command", proto.ReasonMalformed, func(in *input) {
			in.desired.Release = seal(proto.PayloadRelease, `{"format":1,"host":"web1","serial":3,"toplevel":"/bin/sh"}`)
		}},
		{"an assignment for no host", proto.ReasonMalformed, func(in *input) {
			in.desired.Assignment = seal(proto.PayloadAssignment, `{"format":1,"serial":7}`)
		}},
		{"an assignment of an unknown mode", proto.ReasonMalformed, func(in *input) {
			text := strings.Replace(string(in.desired.Assignment.Payload), `"host"`, `"mode":"kexec","host"`, 1)
			in.desired.Assignment = seal(proto.PayloadAssignment, text)
		}},
		{"an assignment that expires before it is issued", proto.ReasonMalformed, func(in *input) {
			text := strings.Replace(string(in.desired.Assignment.Payload), `"expires":"2026`, `"expires":"2025`, 1)
			in.desired.Assignment = seal(proto.PayloadAssignment, text)
		}},
		{"an assignment with a file for a cache", proto.ReasonMalformed, func(in *input) {
			text := strings.Replace(string(in.desired.Assignment.Payload), `http://build:8080/cache/`, `file:///tmp/x`, 1)
			in.desired.Assignment = seal(proto.PayloadAssignment, text)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input{desired: desired(t), trust: trust(t), host: host(t, "web1"), now: issued.Add(time.Minute)}
			c.change(&in)
			order, err := in.desired.Verify(in.trust, in.host, in.floor, in.now)
			refusal, ok := errors.AsType[*proto.RefusalError](err)
			if !ok {
				t.Fatalf("got order %+v, error %v, want a refusal", order, err)
			}
			if refusal.Reason != c.reason {
				t.Errorf("got reason %s (%v), want %s", refusal.Reason, err, c.reason)
			}
			if !order.Release.Toplevel.IsZero() || order.Assignment.Serial != 0 {
				t.Errorf("got order %+v beside the refusal", order)
			}
			checkNotBelow(t, order.Floor, in.floor)
			produced[refusal.Reason] = true
		})
	}
	for _, r := range proto.RefusalReasons() {
		if !produced[r] {
			t.Errorf("no row is refused as %s", r)
		}
	}
}

// checkNotBelow checks that got remembers everything that floor does.
func checkNotBelow(t *testing.T, got, floor proto.Floor) {
	t.Helper()
	if got.Serial < floor.Serial || got.Latest.Before(floor.Latest) || got.WithdrawalSerial < floor.WithdrawalSerial ||
		got.Serial == floor.Serial && got.Issued.Before(floor.Issued) {
		t.Errorf("floor sank from %+v to %+v", floor, got)
	}
	for _, d := range floor.Withdrawn {
		if !(proto.Withdrawals{Releases: got.Withdrawn}).Has(d) {
			t.Errorf("floor forgot that %s was withdrawn", d)
		}
	}
}

func TestParseDesiredRefusesForTheReasonsOfVerify(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       proto.Reason
	}{
		{"more bytes than are read", `{"format":1}` + strings.Repeat(" ", proto.MaxDesired), proto.ReasonOversized},
		{"an unknown format", `{"format":2}`, proto.ReasonUnknownFormat},
		{"no format", `{}`, proto.ReasonUnknownFormat},
		{"nothing", ``, proto.ReasonMalformed},
		{"two documents", `{"format":1}{"format":1}`, proto.ReasonMalformed},
		{"a payload that is not base64", `{"format":1,"release":{"payload":"*"}}`, proto.ReasonMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := proto.ParseDesired([]byte(c.text))
			if err == nil {
				t.Fatal("got no error")
			}
			if got := proto.RefusalOf(err).Reason; got != c.want {
				t.Errorf("got reason %s (%v), want %s", got, err, c.want)
			}
		})
	}
}

func TestRefusalOfKeepsARefusal(t *testing.T) {
	_, err := desired(t).Verify(trust(t), host(t, "web2"), proto.Floor{}, issued)
	if got := proto.RefusalOf(err); got.Reason != proto.ReasonWrongHost || !errors.Is(err, got) {
		t.Errorf("got %s (%v), want %s", got.Reason, got, proto.ReasonWrongHost)
	}
}

func TestVerifyAccepts(t *testing.T) {
	web1 := host(t, "web1")
	for _, c := range []struct {
		name   string
		floor  proto.Floor
		change func(*proto.Assignment)
		now    time.Time
	}{
		{"what comes first", proto.Floor{}, nil, issued},
		{"a clock that is a little behind", proto.Floor{}, nil, issued.Add(-4 * time.Minute)},
		{"the last moment before expiry", proto.Floor{}, nil, issued.Add(proto.AssignmentLifetime - 1)},
		{"what was accepted before", proto.Floor{Serial: 7, Issued: issued, Latest: issued}, nil, issued},
		{"the same serial, issued later", proto.Floor{Serial: 7, Issued: issued.Add(-6 * time.Hour)}, nil, issued},
		{"a higher serial", proto.Floor{Serial: 6, Issued: issued}, nil, issued},
		{
			"a higher serial that was issued earlier, the controller's clock having been set back",
			proto.Floor{Serial: 6, Issued: issued.Add(time.Minute), Latest: issued.Add(time.Minute)},
			nil, issued,
		},
		{"the furthest serial allowed", proto.Floor{Serial: 1}, func(a *proto.Assignment) { a.Serial = proto.MaxSerialJump + 1 }, issued},
		{"the mode to switch, said plainly", proto.Floor{}, func(a *proto.Assignment) { a.Mode = proto.ModeSwitch }, issued},
		{"a host that withdrew another release", proto.Floor{Withdrawn: []proto.Digest{proto.DigestOf(nil)}, WithdrawalSerial: 1}, nil, issued},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := desired(t)
			if c.change != nil {
				a := assignment(t, d.Release)
				c.change(&a)
				d.Assignment = sealedAssignment(t, a)
			}
			first, err := d.Verify(trust(t), web1, c.floor, c.now)
			if err != nil {
				t.Fatal(err)
			}
			if first.Release.Toplevel != toplevel(t) || first.Assignment.Host != web1 {
				t.Errorf("got order %+v, want %s", first, toplevelText)
			}
			checkNotBelow(t, first.Floor, c.floor)
			// A host verifies again before it acts, with the floor it has now.
			second, err := d.Verify(trust(t), web1, first.Floor, c.now)
			if err != nil {
				t.Fatalf("the second time: %v", err)
			}
			checkNotBelow(t, second.Floor, first.Floor)
			checkNotBelow(t, first.Floor, second.Floor)
		})
	}
}

func TestVerifyAcceptsTwoOfThreeReleaseKeys(t *testing.T) {
	second, third := secretKey(t, "release-2", 4), secretKey(t, "release-3", 5)
	tr := trust(t)
	tr.ReleaseKeys = append(tr.ReleaseKeys, second.Public(), third.Public())
	tr.ReleaseThreshold = 2
	d := desired(t)
	d.Release = proto.Seal(proto.PayloadRelease, d.Release.Payload, third, releaseKey(t))
	if _, err := d.Verify(tr, host(t, "web1"), proto.Floor{}, issued); err != nil {
		t.Error(err)
	}
}

// While keys are rotated both sign; hosts that know one of them go on.
func TestVerifyAcceptsEitherKeyDuringARotation(t *testing.T) {
	next := secretKey(t, "controller-2", 6)
	d := desired(t)
	d.Assignment = proto.Seal(proto.PayloadAssignment, d.Assignment.Payload, controllerKey(t), next)
	for _, key := range []proto.PublicKey{controllerKey(t).Public(), next.Public()} {
		tr := trust(t)
		tr.ControllerKeys = []proto.PublicKey{key}
		if _, err := d.Verify(tr, host(t, "web1"), proto.Floor{}, issued); err != nil {
			t.Errorf("trusting %s: %v", key.Name(), err)
		}
	}
}
