package controller_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
)

// TestEveryActIsInTheAudit makes every call that changes something, and looks for what,
// who, with which key, when and from where.
func TestEveryActIsInTheAudit(t *testing.T) {
	c := start(t)
	web1, one := hostName(t, "web1"), toplevel(t, "one")
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one}})
	c.await(t, "serial 1", wants(web1, 1, one))
	host := connectHost(t, c.NATSURL(), "web1", c.credentials(t, "web1"))
	if err := host.PublishStatus(t.Context(), proto.Status{Host: web1, Time: time.Now(), Challenge: "lost"}); err != nil {
		t.Fatal(err)
	}
	c.await(t, "what the host waits for", func(r proto.FleetReply) bool {
		return len(r.Hosts) == 1 && r.Hosts[0].Status != nil && r.Hosts[0].Status.Challenge == "lost"
	})
	acquire(t, host, "7-1")
	list, err := proto.Withdrawals{Serial: 1, Issued: time.Now(), Releases: []proto.Digest{proto.DigestOf(nil)}}.Sign(c.releaseKey(t))
	if err != nil {
		t.Fatal(err)
	}
	web2, two := hostName(t, "web2"), toplevel(t, "two")
	c.world.Import(two, true)
	var added proto.KeyAddReply
	acts := []struct {
		endpoint proto.Endpoint
		act      proto.Act
		do       func() error
	}{
		{proto.EndpointReconcile, proto.ActReconcile, does[proto.ReconcileReply](t, c, proto.EndpointReconcile, proto.ReconcileRequest{})},
		{proto.EndpointRolloutAct, proto.RolloutActHold.Audit(), does[proto.RolloutActReply](t, c, proto.EndpointRolloutAct, proto.RolloutActRequest{
			Act: proto.RolloutActHold, Hosts: []proto.HostName{web1}, Reason: "a test",
		})},
		{proto.EndpointHostAdd, proto.ActHostAdd, does[proto.HostAddReply](t, c, proto.EndpointHostAdd, proto.HostAddRequest{Host: web2, PublicKey: publicKey(t)})},
		{proto.EndpointHostToken, proto.ActHostToken, does[proto.HostTokenReply](t, c, proto.EndpointHostToken, proto.HostTokenRequest{
			Host: web2, Hash: proto.NewToken(web2).Hash(), For: time.Hour,
		})},
		{proto.EndpointHostRevoke, proto.ActHostRevoke, does[proto.HostRevokeReply](t, c, proto.EndpointHostRevoke, proto.HostRevokeRequest{Host: web2})},
		{proto.EndpointHostReset, proto.ActHostReset, does[proto.HostResetReply](t, c, proto.EndpointHostReset, proto.HostResetRequest{Host: web1})},
		{proto.EndpointLeaseFree, proto.ActLeaseFree, does[proto.LeaseFreeReply](t, c, proto.EndpointLeaseFree, proto.LeaseFreeRequest{Host: web1})},
		{proto.EndpointOperatorAdd, proto.ActOperatorAdd, does[proto.OperatorAddReply](t, c, proto.EndpointOperatorAdd, proto.OperatorAddRequest{
			Name: "eva", Role: proto.RoleViewer, PublicKey: publicKey(t),
		})},
		{proto.EndpointOperatorToken, proto.ActOperatorToken, does[proto.OperatorTokenReply](t, c, proto.EndpointOperatorToken, proto.OperatorTokenRequest{
			Name: "eva", Role: proto.RoleViewer, Hash: proto.NewOperatorToken().Hash(),
		})},
		{proto.EndpointOperatorRevoke, proto.ActOperatorRevoke, does[proto.OperatorRevokeReply](t, c, proto.EndpointOperatorRevoke, proto.OperatorRevokeRequest{Name: "eva"})},
		{proto.EndpointPublish, proto.ActPublish, does[proto.PublishReply](t, c, proto.EndpointPublish, proto.PublishRequest{
			Targets: []proto.PublishTarget{{Host: web1, Toplevel: two}},
		})},
		{proto.EndpointWithdraw, proto.ActWithdraw, does[proto.WithdrawReply](t, c, proto.EndpointWithdraw, proto.WithdrawRequest{List: list})},
		{proto.EndpointKeyAdd, proto.ActKeyAdd, func() (err error) {
			added, err = bus.Call[proto.KeyAddRequest, proto.KeyAddReply](t.Context(), c.conn, proto.EndpointKeyAdd, proto.KeyAddRequest{Role: proto.KeyRelease})
			return err
		}},
		{proto.EndpointKeyRetire, proto.ActKeyRetire, func() (err error) {
			retire := proto.KeyRetireRequest{Name: added.Key.Name(), Force: true}
			for {
				err = does[proto.KeyRetireReply](t, c, proto.EndpointKeyRetire, retire)()
				if err == nil || !strings.Contains(err.Error(), "clock") {
					return err
				}
				<-time.After(100 * time.Millisecond) // what was signed with it was issued this second
			}
		}},
	}
	tried, admin := map[proto.Endpoint]bool{}, identityOf(t, c.AdminCredentials())
	for _, a := range acts {
		tried[a.endpoint] = true
		before := time.Now().Truncate(time.Second)
		if err := a.do(); err != nil {
			t.Errorf("%s: %v", a.endpoint, err)
			continue
		}
		if e := c.lastAct(t, a.act); e.Actor != "admin" || e.Key != admin || e.From != "127.0.0.1" || e.Time.Before(before) {
			t.Errorf("%s: the audit has %+v, want it by admin with %s from here, and now", a.endpoint, e, admin)
		}
	}
	for _, e := range proto.Endpoints() {
		if !e.Reads() && !tried[e] {
			t.Errorf("%s: nobody tries whether it is in the audit", e)
		}
	}
}

// does returns what makes a call.
func does[Rep, Req any](t *testing.T, c *controllerTest, e proto.Endpoint, req Req) func() error {
	return func() error {
		_, err := bus.Call[Req, Rep](t.Context(), c.conn, e, req)
		return err
	}
}

// publicKey returns a new one.
func publicKey(t *testing.T) string {
	t.Helper()
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id.PublicKey
}

// lastAct returns the newest entry of an act.
func (c *controllerTest) lastAct(t *testing.T, act proto.Act) (newest proto.AuditEntry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := bus.Call[proto.AuditRequest, proto.AuditReply](ctx, c.conn, proto.EndpointAudit, proto.AuditRequest{Last: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Entries {
		if e.Entry.Act == act {
			newest = e.Entry
		}
	}
	return newest
}

// releaseKey returns the key that the controller made.
func (c *controllerTest) releaseKey(t *testing.T) proto.SecretKey {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.stateDir, "keys", "release"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := proto.ParseSecretKey(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// identityOf returns the public key that is in a credentials file.
func identityOf(t *testing.T, file string) string {
	t.Helper()
	token, err := bus.ReadToken(file, "")
	if err != nil {
		t.Fatal(err)
	}
	return token.PublicKey
}
