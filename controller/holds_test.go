package controller

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kedge/proto"
	"kedge/proto/bus"
)

func TestHoldsOutliveTheController(t *testing.T) {
	path := filepath.Join(t.TempDir(), "holds.json")
	h, err := openHolds(path, alone)
	if err != nil {
		t.Fatal(err)
	}
	web1, since := host(t, "web1"), time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	do := func(req proto.RolloutActRequest) {
		t.Helper()
		if err := h.change(func(b *heldBack) { b.apply(req, hold{Reason: req.Reason, By: "ada", Since: since}) }); err != nil {
			t.Fatal(err)
		}
	}
	do(proto.RolloutActRequest{Act: proto.RolloutActHold, Hosts: []proto.HostName{web1, host(t, "web2")}, Reason: "one"})
	do(proto.RolloutActRequest{Act: proto.RolloutActFreeze, Reason: "two"})
	do(proto.RolloutActRequest{Act: proto.RolloutActFreeze, Rollout: "testing", Reason: "three"})
	do(proto.RolloutActRequest{Act: proto.RolloutActRelease, Hosts: []proto.HostName{host(t, "web2")}})

	again, err := openHolds(path, alone)
	if err != nil {
		t.Fatal(err)
	}
	all := proto.RolloutHold{Reason: "two", By: "ada", Since: since}
	one := proto.RolloutHold{Host: web1, Reason: "one", By: "ada", Since: since}
	want := []proto.RolloutHold{all, {Channel: "testing", Reason: "three", By: "ada", Since: since}, one}
	if diff := cmp.Diff(want, again.list(""), cmpopts.EquateComparable(proto.HostName{})); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]proto.RolloutHold{all, one}, again.list("main"), cmpopts.EquateComparable(proto.HostName{})); diff != "" {
		t.Errorf("what concerns main (-want +got):\n%s", diff)
	}
	if got := again.freeze("testing"); got == nil || got.Reason != "three" {
		t.Errorf("testing is frozen by %+v, want its own", got)
	}
	do(proto.RolloutActRequest{Act: proto.RolloutActThaw})
	do(proto.RolloutActRequest{Act: proto.RolloutActThaw, Rollout: "testing"})
	if h.freeze("testing") != nil || h.freeze("main") != nil {
		t.Error("frozen after a thaw")
	}
}

// TestWhatIsHeldBackIsLetGoWhenItIsGone: a channel that was frozen, and a host that was held, and
// which are configured no more.
func TestWhatIsHeldBackIsLetGoWhenItIsGone(t *testing.T) {
	h, err := openHolds(filepath.Join(t.TempDir(), "holds.json"), alone)
	if err != nil {
		t.Fatal(err)
	}
	var audit []proto.AuditEntry
	o := &rollouts{
		fleet: NewFleet(time.Now), holds: h, now: time.Now, log: slog.New(slog.DiscardHandler),
		audit: func(_ context.Context, e proto.AuditEntry) { audit = append(audit, e) },
	}
	freeze := proto.RolloutActRequest{Act: proto.RolloutActFreeze, Rollout: "old", Reason: "so"}
	held := proto.RolloutActRequest{Act: proto.RolloutActHold, Hosts: []proto.HostName{host(t, "web9")}, Reason: "so"}
	thaw := proto.RolloutActRequest{Act: proto.RolloutActThaw, Rollout: "old"}
	release := proto.RolloutActRequest{Act: proto.RolloutActRelease, Hosts: held.Hosts}
	for _, req := range []proto.RolloutActRequest{freeze, held, thaw, release} {
		var said *bus.APIError
		if _, err := o.holdBack(t.Context(), bus.Caller{Name: "ada"}, req); !errors.As(err, &said) || said.Code != bus.CodeNotFound {
			t.Errorf("%s of what is not known, nor held back: %v", req.Act, err)
		}
	}
	for _, req := range []proto.RolloutActRequest{freeze, held} {
		if err := h.change(func(b *heldBack) { b.apply(req, hold{Reason: req.Reason, By: "ada"}) }); err != nil {
			t.Fatal(err)
		}
	}
	for _, req := range []proto.RolloutActRequest{thaw, release} {
		if _, err := o.holdBack(t.Context(), bus.Caller{Name: "ada"}, req); err != nil {
			t.Errorf("%s of what is not known any more: %v", req.Act, err)
		}
	}
	if left := h.list(""); len(left) != 0 || len(audit) != 2 {
		t.Errorf("held back: %+v, audit: %+v", left, audit)
	}
}

func TestHoldsAreNotForgottenByADamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "holds.json")
	if err := os.WriteFile(path, []byte(`{"format":1,`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openHolds(path, alone); err == nil {
		t.Error("a torn file was taken for none")
	}
}

func TestHoldsThatAreNotDurableAreNone(t *testing.T) {
	h, err := openHolds(filepath.Join(t.TempDir(), "nowhere", "holds.json"), alone)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.change(func(b *heldBack) { b.All = &hold{} }); err == nil {
		t.Error("saved where nothing can be")
	}
	if h.freeze("main") != nil {
		t.Error("frozen though that is not durable")
	}
}

// TestAFailedHoldIsMadeGood: what may be on the disk all the same is gone from there when a
// person is told that nothing holds it.
func TestAFailedHoldIsMadeGood(t *testing.T) {
	path, fails := filepath.Join(t.TempDir(), "holds.json"), syscall.EIO
	h, err := openHolds(path, func(string) error {
		if fails != 0 {
			return fails
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	o := &rollouts{fleet: NewFleet(time.Now), holds: h, now: time.Now, log: slog.New(slog.DiscardHandler), audit: func(context.Context, proto.AuditEntry) {}}
	act := func(a proto.RolloutAct) (proto.RolloutActReply, error) {
		return o.holdBack(t.Context(), bus.Caller{Name: "ada"}, proto.RolloutActRequest{Act: a, Reason: "so"})
	}
	for _, a := range []proto.RolloutAct{proto.RolloutActFreeze, proto.RolloutActThaw} {
		if _, err := act(a); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: error = %v, want %v", a, err, syscall.EIO)
		}
	}
	fails = 0
	if reply, err := act(proto.RolloutActThaw); err != nil || !reply.Again {
		t.Errorf("thaw = %+v, %v; want that nothing was frozen", reply, err)
	}
	again, err := openHolds(path, alone)
	if err != nil {
		t.Fatal(err)
	}
	if again.freeze("main") != nil {
		t.Error("frozen after a restart")
	}
}
