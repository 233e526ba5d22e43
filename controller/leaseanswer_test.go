package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/controller/internal/lease"
	"kedge/controller/internal/natsd"
	"kedge/proto"
	"kedge/proto/bus"
)

// oneKey keeps the record of leases.
type oneKey struct {
	raw  bus.Raw
	err  error // of both calls
	lost error // instead of the next answer to a write, which is kept

	onWrite func() // called before a write; nil for nothing
}

// GetControl implements [lease.Bus].
func (k *oneKey) GetControl(context.Context, string) (bus.Raw, error) { return k.raw, k.err }

// PutControl implements [lease.Bus].
func (k *oneKey) PutControl(_ context.Context, _ string, data []byte, last uint64) (uint64, error) {
	if k.onWrite != nil {
		k.onWrite()
	}
	switch {
	case k.err != nil:
		return 0, k.err
	case last != k.raw.Seq:
		return 0, bus.ErrConflict
	}
	k.raw = bus.Raw{Data: data, Seq: last + 1}
	err := k.lost
	k.lost = nil
	return k.raw.Seq, err
}

// lessor answers from k, with a clock and an audit.
func lessor(k *oneKey, rules lease.Rules, now *time.Time, audit *[]proto.AuditEntry) *leases {
	clock := func() time.Time { return *now }
	return &leases{
		ledger: lease.NewLedger(lease.Options{Bus: k, Rules: rules, Now: clock}), fleet: NewFleet(clock),
		audit:   func(_ context.Context, e proto.AuditEntry) { *audit = append(*audit, e) },
		metrics: newMetrics(prometheus.NewRegistry()), now: clock, log: slog.New(slog.DiscardHandler),
	}
}

func TestAnOldLeaseMakesRoomForAnotherHost(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	began := now
	var audit []proto.AuditEntry
	l := lessor(&oneKey{}, lease.Rules{Slots: 1, MaxAge: time.Hour}, &now, &audit)
	acquire := proto.LeaseRequest{Action: proto.LeaseAcquire, Deployment: "7-1"}
	r, err := l.answer(t.Context(), host(t, "web1"), acquire)
	if err != nil || !r.Granted || !r.Expires.Equal(now.Add(time.Hour)) {
		t.Fatalf("got %+v, %v, want a lease for an hour", r, err)
	}
	now = now.Add(time.Hour - 1)
	if r, err := l.answer(t.Context(), host(t, "web2"), acquire); err != nil || r.Granted {
		t.Errorf("before it is old: got %+v, %v", r, err)
	}
	now = now.Add(1)
	if r, err := l.answer(t.Context(), host(t, "web2"), acquire); err != nil || !r.Granted {
		t.Errorf("once it is old: got %+v, %v", r, err)
	}
	want := []proto.AuditEntry{
		{Time: began, Actor: "kedge", Act: proto.ActLeaseAcquire, Host: host(t, "web1"), Message: "for 7-1, since 2026-11-22T10:00:00Z"},
		{Time: now, Actor: "kedge", Act: proto.ActLeaseExpire, Host: host(t, "web1"), Message: "for 7-1, since 2026-11-22T10:00:00Z"},
		{Time: now, Actor: "kedge", Act: proto.ActLeaseAcquire, Host: host(t, "web2"), Message: "for 7-1, since 2026-11-22T11:00:00Z"},
	}
	if d := cmp.Diff(want, audit, cmp.Comparer(func(a, b proto.AuditEntry) bool { return a == b })); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
}

// TestARevokedHostHoldsUpNobody: it will not give its lease back.
func TestARevokedHostHoldsUpNobody(t *testing.T) {
	o := newOffice(t, t.TempDir())
	k := &oneKey{}
	l := lessor(k, lease.Rules{Slots: 1}, &o.clock, &o.audits)
	o.free, l.fleet = l.revoked, o.fleet
	web1, web2 := host(t, "web1"), host(t, "web2")
	for _, h := range []proto.HostName{web1, web2} {
		if _, err := o.add(t.Context(), bus.Caller{Name: "ada"}, proto.HostAddRequest{Host: h, PublicKey: userKey(t)}); err != nil {
			t.Fatal(err)
		}
	}
	acquire := proto.LeaseRequest{Action: proto.LeaseAcquire, Deployment: "7-1"}
	if r, err := l.answer(t.Context(), web1, acquire); err != nil || !r.Granted {
		t.Fatalf("got %+v, %v", r, err)
	}
	o.audits = nil
	if _, err := o.revoke(t.Context(), bus.Caller{Name: "ada"}, proto.HostRevokeRequest{Host: web1}); err != nil {
		t.Fatal(err)
	}
	if r, err := l.answer(t.Context(), web1, acquire); err != nil || r.Granted || r.Reason != proto.ReasonNoLease {
		t.Errorf("it asks, as NATS has not cut it off: got %+v, %v", r, err)
	}
	if r, err := l.answer(t.Context(), web2, acquire); err != nil || !r.Granted {
		t.Errorf("the next host: got %+v, %v", r, err)
	}
	var acts []string
	for _, e := range o.audits {
		acts = append(acts, fmt.Sprint(e.Act, " by ", e.Actor, ": ", e.Host))
	}
	want := []string{"host-revoke by ada: web1", "lease-free by ada: web1", "lease-acquire by kedge: web2"}
	if d := cmp.Diff(want, acts); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
	k.err, o.deaf = bus.ErrTimeout, natsd.ErrPending
	_, err := o.revoke(t.Context(), bus.Caller{Name: "ada"}, proto.HostRevokeRequest{Host: web2})
	said, ok := errors.AsType[*bus.APIError](err)
	if !ok || said.Code != bus.CodeUnavailable || !strings.Contains(said.Message, "NATS does not know yet") || !strings.Contains(said.Message, "kedge lease list") {
		t.Errorf("where nobody can be told, and nobody knows who has a lease: %v", err)
	}
}

// TestAHostThatIsRevokedWhileItAsksHasNoLease revokes it when its request has been read.
func TestAHostThatIsRevokedWhileItAsksHasNoLease(t *testing.T) {
	now := time.Now()
	var audit []proto.AuditEntry
	k := &oneKey{}
	l := lessor(k, lease.Rules{Slots: 1}, &now, &audit)
	web1 := host(t, "web1")
	k.onWrite = func() { l.fleet.Enrolled(web1, proto.HostKey{PublicKey: "UA", Revoked: now}) }
	if r, err := l.answer(t.Context(), web1, proto.LeaseRequest{Action: proto.LeaseAcquire, Deployment: "7-1"}); err != nil || r.Granted {
		t.Errorf("got %+v, %v", r, err)
	}
	if holders, err := l.ledger.Holders(t.Context()); err != nil || len(holders) > 0 {
		t.Errorf("leases are held: %+v, %v", holders, err)
	}
}

// TestALeaseIsFreedAlthoughNATSDoesNotSaySo: the lease is gone, and who freed it is told,
// and in the audit.
func TestALeaseIsFreedAlthoughNATSDoesNotSaySo(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	var audit []proto.AuditEntry
	k := &oneKey{}
	l := lessor(k, lease.Rules{Slots: 1}, &now, &audit)
	if r, err := l.answer(t.Context(), host(t, "web1"), proto.LeaseRequest{Action: proto.LeaseAcquire, Deployment: "7-1"}); err != nil || !r.Granted {
		t.Fatalf("got %+v, %v", r, err)
	}
	audit, k.lost = nil, bus.ErrTimeout
	r, err := l.free(t.Context(), ada(), proto.LeaseFreeRequest{Host: host(t, "web1")})
	if err != nil || r.Freed.Deployment != "7-1" {
		t.Errorf("got %+v, %v", r, err)
	}
	if len(audit) != 1 || audit[0].Act != proto.ActLeaseFree || audit[0].Actor != "ada" {
		t.Errorf("in the audit is %+v, want that ada freed it", audit)
	}
}

// Where nobody knows who has a lease, nobody gets one.
func TestWithoutNATSNobodyGetsALease(t *testing.T) {
	now := time.Now()
	var audit []proto.AuditEntry
	k := &oneKey{}
	l := lessor(k, lease.Rules{Slots: 9}, &now, &audit)
	for _, c := range []struct {
		err  error
		code bus.Code
	}{{bus.ErrNotConnected, bus.CodeUnavailable}, {bus.ErrTimeout, bus.CodeUnavailable}, {errors.New("bad luck"), bus.CodeInternal}} {
		k.err = c.err
		for _, action := range []proto.LeaseAction{proto.LeaseAcquire, proto.LeaseRelease} {
			r, err := l.answer(t.Context(), host(t, "web1"), proto.LeaseRequest{Action: action})
			if r.Granted || requestResult(err) != string(c.code) {
				t.Errorf("%s with %v: got %+v, %v, want code %s", action, c.err, r, err, c.code)
			}
		}
	}
	if n := testutil.ToFloat64(l.metrics.leases.WithLabelValues(leaseFailed)); n != 6 || len(audit) != 0 {
		t.Errorf("%v requests failed, want 6; audit: %v", n, audit)
	}
}

// TestAHostCannotFillTheAudit: what operators did before stays to be found.
func TestAHostCannotFillTheAudit(t *testing.T) {
	const pairs, pause = 1000, 3 * time.Second // as many as it may ask for
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	began := now
	var audit []proto.AuditEntry
	l := lessor(&oneKey{}, lease.Rules{Slots: 9}, &now, &audit)
	answer := func(name string, action proto.LeaseAction) {
		t.Helper()
		if _, err := l.answer(t.Context(), host(t, name), proto.LeaseRequest{Action: action}); err != nil {
			t.Fatal(err)
		}
	}
	answer("web2", proto.LeaseAcquire)
	if _, err := l.free(t.Context(), bus.Caller{Name: "ada"}, proto.LeaseFreeRequest{Host: host(t, "web2")}); err != nil {
		t.Fatal(err)
	}
	for range pairs {
		for _, action := range []proto.LeaseAction{proto.LeaseAcquire, proto.LeaseRelease} {
			answer("web1", action)
			now = now.Add(pause)
		}
	}
	hours := int(now.Sub(began)/diaryWindow) + 1
	if n := len(audit) - 2; n > hours*diaryEntries {
		t.Errorf("%d entries in %d hours, want at most %d each", n, hours, diaryEntries)
	}
	if e := audit[1]; e.Actor != "ada" || e.Act != proto.ActLeaseFree {
		t.Errorf("the second entry is %+v, want that of ada", e)
	}
	if e, want := audit[2+diaryEntries], fmt.Sprintf("; %d entries about this host before this one were left out", int(diaryWindow/pause)-diaryEntries); !strings.HasSuffix(e.Message, want) {
		t.Errorf("the first entry of the second hour says %q, want %q at its end", e.Message, want)
	}
	before := len(audit)
	answer("web3", proto.LeaseAcquire)
	if len(audit) != before+1 {
		t.Error("the lease of another host is not in the audit")
	}
}
