package proto_test

import (
	"testing"
	"time"

	"kedge/proto"
)

// A host that lost its floor accepts nothing but with the reset that was made for
// it, and nothing older than that says.
func TestReset(t *testing.T) {
	foreign := secretKey(t, "foreign", 9)
	withdrawn := release(t)
	withdrawn.Serial = 2
	list := sealedWithdrawals(t, 5, proto.DigestOf(sealedRelease(t, withdrawn).Payload))
	for _, c := range []struct {
		name   string
		reason proto.Reason // none if it is accepted
		change func(d *proto.Desired, r *proto.Reset)
		signed func(r proto.Reset) *proto.Envelope
	}{
		{name: "the reset that is waited for"},
		{name: "none", reason: proto.ReasonFloorsLost, signed: func(proto.Reset) *proto.Envelope { return nil }},
		{name: "the one of an earlier loss", reason: proto.ReasonFloorsLost, change: func(_ *proto.Desired, r *proto.Reset) { r.Challenge = "other" }},
		{name: "another host's", reason: proto.ReasonWrongHost, change: func(_ *proto.Desired, r *proto.Reset) { r.Host = host(t, "web2") }},
		{name: "one that a stranger signed", reason: proto.ReasonUnknownKey, signed: func(r proto.Reset) *proto.Envelope {
			e, err := r.Sign(foreign)
			if err != nil {
				t.Fatal(err)
			}
			return &e
		}},
		{name: "one that a release key signed", reason: proto.ReasonUnknownKey, signed: func(r proto.Reset) *proto.Envelope {
			e, err := r.Sign(releaseKey(t))
			if err != nil {
				t.Fatal(err)
			}
			return &e
		}},
		{name: "one whose bytes were changed", reason: proto.ReasonBadSignature, signed: func(r proto.Reset) *proto.Envelope {
			e := sealedReset(t, r)
			e.Payload = append(e.Payload, ' ')
			return e
		}},
		{name: "an assignment in its place", reason: proto.ReasonMalformed, signed: func(proto.Reset) *proto.Envelope {
			e := desired(t).Assignment
			return &e
		}},
		{name: "one without a challenge", reason: proto.ReasonMalformed, signed: func(proto.Reset) *proto.Envelope {
			e := proto.Seal(proto.PayloadReset, []byte(`{"format":1,"host":"web1","issued":"2026-11-22T12:00:00Z"}`), controllerKey(t))
			return &e
		}},
		{name: "with an older assignment than it says", reason: proto.ReasonRollback, change: func(_ *proto.Desired, r *proto.Reset) { r.Serial = 8 }},
		{name: "without the withdrawals that it says", reason: proto.ReasonRollback, change: func(d *proto.Desired, _ *proto.Reset) { d.Withdrawals = nil }},
		{name: "with older withdrawals than it says", reason: proto.ReasonRollback, change: func(d *proto.Desired, _ *proto.Reset) { d.Withdrawals = sealedWithdrawals(t, 4) }},
		{name: "with a clock before it", reason: proto.ReasonClock, change: func(_ *proto.Desired, r *proto.Reset) { r.Issued = issued.Add(time.Hour) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := desired(t)
			d.Withdrawals = list
			r := proto.Reset{Host: host(t, "web1"), Challenge: challenge, Issued: issued, Serial: 7, WithdrawalSerial: 5}
			if c.change != nil {
				c.change(&d, &r)
			}
			if c.signed == nil {
				c.signed = func(r proto.Reset) *proto.Envelope { return sealedReset(t, r) }
			}
			d.Reset = c.signed(r)
			lost := proto.Floor{Challenge: challenge}
			order, err := d.Verify(trust(t), host(t, "web1"), lost, issued)
			switch {
			case c.reason != "" && (err == nil || proto.RefusalOf(err).Reason != c.reason):
				t.Fatalf("got error %v, want one for %s", err, c.reason)
			case c.reason == "" && err != nil:
				t.Fatal(err)
			case order.Floor.Challenge == "" && (order.Floor.Serial < r.Serial || order.Floor.WithdrawalSerial < r.WithdrawalSerial || order.Floor.Latest.Before(r.Issued)):
				t.Errorf("floor %+v is below the reset's", order.Floor)
			case c.reason == "" && (order.Floor.Challenge != "" || len(order.Floor.Withdrawn) != 1):
				t.Errorf("floor %+v, want one without a challenge that knows what was withdrawn", order.Floor)
			}

			// It counts once, and to a host that lost nothing it says nothing.
			before := proto.Floor{Serial: 7, Issued: issued, Latest: issued, WithdrawalSerial: 5}
			again, err := d.Verify(trust(t), host(t, "web1"), before, issued)
			if again.Floor.Serial != 7 || again.Floor.WithdrawalSerial != 5 {
				t.Errorf("of a host that lost nothing: floor %+v, error %v", again.Floor, err)
			}
			checkNotBelow(t, again.Floor, before)
		})
	}
}
