package proto_test

import (
	"math"
	"testing"

	"kedge/proto"
)

// Whoever stands between may leave a list of withdrawals out later, but not
// before the host has seen it: the refusal already remembers.
func TestWithdrawalsAreRememberedFromTheRefusalOn(t *testing.T) {
	web1 := host(t, "web1")
	d := desired(t)
	withdrawn := d
	withdrawn.Withdrawals = sealedWithdrawals(t, 1, proto.DigestOf(d.Release.Payload))
	order, err := withdrawn.Verify(trust(t), web1, proto.Floor{}, issued)
	if err == nil {
		t.Fatal("got no refusal")
	}
	if _, err = d.Verify(trust(t), web1, order.Floor, issued); err == nil || proto.RefusalOf(err).Reason != proto.ReasonWithdrawn {
		t.Errorf("without the list: got error %v, want reason %s", err, proto.ReasonWithdrawn)
	}
}

func TestWithdrawalsAddUp(t *testing.T) {
	a, b, c := proto.DigestOf([]byte("a")), proto.DigestOf([]byte("b")), proto.DigestOf([]byte("c"))
	d := desired(t)
	var floor proto.Floor
	for _, step := range []struct {
		serial   proto.Serial
		releases []proto.Digest
		want     int
		refused  bool
	}{
		{math.MaxUint64, []proto.Digest{c}, 0, true}, // at first contact too
		{2, []proto.Digest{a, b, b}, 2, false},
		{2, []proto.Digest{c}, 2, false}, // the same serial again says nothing new
		{1, []proto.Digest{c}, 2, false}, // an older list neither
		{proto.MaxSerialJump + 3, []proto.Digest{c}, 2, true},
		{3, []proto.Digest{b, c}, 3, false},
		{proto.MaxSerialJump + 3, nil, 3, false},
	} {
		d.Withdrawals = sealedWithdrawals(t, step.serial, step.releases...)
		order, err := d.Verify(trust(t), host(t, "web1"), floor, issued)
		if refused := err != nil; refused != step.refused || refused && proto.RefusalOf(err).Reason != proto.ReasonMalformed {
			t.Fatalf("list %d: got error %v, refused is to be %v", step.serial, err, step.refused)
		}
		checkNotBelow(t, order.Floor, floor)
		if step.refused && !order.Floor.Equal(floor) {
			t.Errorf("list %d was refused, and the floor became %+v", step.serial, order.Floor)
		}
		if got := len(order.Floor.Withdrawn); got != step.want {
			t.Errorf("after list %d: %d releases are withdrawn, want %d", step.serial, got, step.want)
		}
		floor = order.Floor
	}
}

func TestVerifyLeavesTheGivenFloorAlone(t *testing.T) {
	withdrawn := make([]proto.Digest, 0, 8)
	floor := proto.Floor{Withdrawn: append(withdrawn, proto.DigestOf(nil)), WithdrawalSerial: 1}
	d := desired(t)
	d.Withdrawals = sealedWithdrawals(t, 2, proto.DigestOf([]byte("a")))
	if _, err := d.Verify(trust(t), host(t, "web1"), floor, issued); err != nil {
		t.Fatal(err)
	}
	if got := withdrawn[:2][1]; !got.IsZero() {
		t.Errorf("the slice behind the floor holds %s", got)
	}
}
