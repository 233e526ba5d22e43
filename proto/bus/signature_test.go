package bus

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"kedge/proto"
)

var errStranger = errors.New("is nobody's")

// operatorOf returns credentials, and who knows that they are of an operator of a role.
func operatorOf(t *testing.T, role proto.Role) (credentials, func(string) (proto.Operator, error)) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return credentials{publicKey: public, pair: pair}, func(key string) (proto.Operator, error) {
		if key != public {
			return proto.Operator{}, errStranger
		}
		return proto.Operator{Name: "eva", Role: role, PublicKey: public}, nil
	}
}

func TestASignatureIsOfOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eva, signer := operatorOf(t, proto.RoleOperator)
		stranger, _ := operatorOf(t, proto.RoleAdmin)
		g := &gatekeeper{signer: signer, now: time.Now, began: time.Now(), seen: map[string]map[string]time.Time{}}
		signed := func(by credentials, e proto.Endpoint, at time.Time) *nats.Msg {
			m := nats.NewMsg(e.Subject())
			m.Data = []byte(`{}`)
			if err := by.sign(m, at); err != nil {
				t.Fatal(err)
			}
			return m
		}
		admit := func(e proto.Endpoint, m *nats.Msg) (proto.Operator, error) { return g.admit(e, m.Header.Get, m.Data) }
		began := time.Now()
		good := signed(eva, proto.EndpointReconcile, time.Now())
		if op, err := admit(proto.EndpointReconcile, good); err != nil || op.Name != "eva" {
			t.Fatalf("got %+v, %v", op, err)
		}
		changed := func(change func(*nats.Msg)) *nats.Msg {
			m := signed(eva, proto.EndpointReconcile, time.Now())
			change(m)
			return m
		}
		longNumber := signed(eva, proto.EndpointReconcile, time.Now())
		longNumber.Header.Set(nonceHeader, strings.Repeat("x", maxNonce+1))
		signature, err := eva.pair.Sign(statement(longNumber.Subject, longNumber.Header.Get, longNumber.Data))
		if err != nil {
			t.Fatal(err)
		}
		longNumber.Header.Set(signatureHeader, base64.StdEncoding.EncodeToString(signature))
		for name, tt := range map[string]struct {
			m    *nats.Msg
			e    proto.Endpoint
			want string
		}{
			"sent again":          {good, proto.EndpointReconcile, "was made before"},
			"not signed":          {nats.NewMsg(""), proto.EndpointReconcile, "has to be signed"},
			"for another call":    {signed(eva, proto.EndpointReconcile, time.Now()), proto.EndpointFleet, "not good"},
			"another body":        {changed(func(m *nats.Msg) { m.Data = []byte(`{"hosts":["web1"]}`) }), proto.EndpointReconcile, "not good"},
			"another number":      {changed(func(m *nats.Msg) { m.Header.Set(nonceHeader, "x") }), proto.EndpointReconcile, "not good"},
			"another time":        {changed(func(m *nats.Msg) { m.Header.Set(timeHeader, "2026-01-01T00:00:00Z") }), proto.EndpointReconcile, "not good"},
			"another key":         {changed(func(m *nats.Msg) { m.Header.Set(keyHeader, stranger.publicKey) }), proto.EndpointReconcile, "not good"},
			"a long number":       {longNumber, proto.EndpointReconcile, "not good"},
			"no key":              {changed(func(m *nats.Msg) { m.Header.Set(keyHeader, "eva") }), proto.EndpointReconcile, "not good"},
			"by a stranger":       {signed(stranger, proto.EndpointReconcile, time.Now()), proto.EndpointReconcile, "is nobody's"},
			"beyond the role":     {signed(eva, proto.EndpointPublish, time.Now()), proto.EndpointPublish, "needs the role admin"},
			"too old":             {signed(eva, proto.EndpointReconcile, time.Now().Add(-maxSkew-time.Second)), proto.EndpointReconcile, "one of the two clocks is wrong"},
			"of the future":       {signed(eva, proto.EndpointReconcile, time.Now().Add(maxSkew+time.Second)), proto.EndpointReconcile, "one of the two clocks is wrong"},
			"of before the start": {signed(eva, proto.EndpointReconcile, began.Add(-time.Second)), proto.EndpointReconcile, "began to answer"},
		} {
			_, err := admit(tt.e, tt.m)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error = %v, want %q", name, err, tt.want)
			}
			if known, ok := errors.AsType[*APIError](err); !ok || known.Unbegun != (name == "of before the start") {
				t.Errorf("%s: got %#v; only what comes too early is to be made again", name, err)
			}
		}

		// What is remembered is bounded for each, and what is forgotten is too old.
		seen := g.seen[eva.publicKey]
		for len(seen) < maxRemembered {
			seen[time.Duration(len(seen)).String()] = time.Now()
		}
		if _, err := admit(proto.EndpointReconcile, signed(eva, proto.EndpointReconcile, time.Now())); err == nil || !strings.Contains(err.Error(), "in the last minutes") {
			t.Errorf("one too many: error = %v", err)
		}
		adam, others := operatorOf(t, proto.RoleAdmin)
		g.signer = others
		if _, err := admit(proto.EndpointReconcile, signed(adam, proto.EndpointReconcile, time.Now())); err != nil {
			t.Errorf("somebody else's first: error = %v", err)
		}
		g.signer = signer
		time.Sleep(maxSkew + time.Nanosecond)
		if _, err := admit(proto.EndpointReconcile, signed(eva, proto.EndpointReconcile, time.Now())); err != nil || len(seen) != 1 {
			t.Errorf("minutes later: error = %v, and %d calls are remembered", err, len(seen))
		}
		if _, err := admit(proto.EndpointReconcile, good); err == nil {
			t.Error("what was forgotten was taken again")
		}
	})
}

// TestAServerMakesNoCalls: whoever runs the server says what he likes of a call, sends
// again what was sent, and changes it.
func TestAServerMakesNoCalls(t *testing.T) {
	url := startServer(t)
	cli := open(t, url)
	own, err := readCredentials(cli.options.Credentials)
	if err != nil {
		t.Fatal(err)
	}
	callers := make(chan Caller, 10)
	serving := make(chan struct{}, 1)
	s := NewService(ServiceOptions{
		Conn: open(t, url), Version: "0.0.1", Log: slog.New(slog.DiscardHandler), Serving: func() { serving <- struct{}{} },
		Signer: func(key string) (proto.Operator, error) {
			if key != own.publicKey {
				return proto.Operator{}, errStranger
			}
			return proto.Operator{Name: "eva", Role: proto.RoleAdmin, PublicKey: key}, nil
		},
	})
	Handle(s, proto.EndpointReconcile, func(_ context.Context, c Caller, _ proto.ReconcileRequest) (proto.ReconcileReply, error) {
		callers <- c
		return proto.ReconcileReply{}, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := receive(t, done); err != nil {
			t.Error(err)
		}
	}()
	receive(t, serving)
	owner := rawClient(t, url)
	seen, err := owner.SubscribeSync(proto.EndpointReconcile.Subject())
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Flush(); err != nil {
		t.Fatal(err)
	}
	await(t, cli, func(s State) bool { return s.Connected })
	if _, err := Call[proto.ReconcileRequest, proto.ReconcileReply](t.Context(), cli, proto.EndpointReconcile, proto.ReconcileRequest{}); err != nil {
		t.Fatal(err)
	}
	if c := receive(t, callers); c.Name != "eva" || c.PublicKey != own.publicKey {
		t.Errorf("called by %+v", c)
	}
	was, err := seen.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(map[string]string{"name_tag": "eva", "user": own.publicKey, "host": "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	forged := nats.NewMsg(was.Subject)
	forged.Data = []byte(`{}`)
	forged.Header.Set(requestInfo, string(info))
	again := nats.NewMsg(was.Subject)
	again.Data, again.Header = was.Data, was.Header
	other := nats.NewMsg(was.Subject)
	other.Data, other.Header = []byte(`{"hosts":["web1"]}`), was.Header
	for what, m := range map[string]*nats.Msg{"in somebody's name": forged, "again": again, "with something else": other} {
		reply, err := owner.RequestMsg(m, patience)
		if err != nil {
			t.Fatal(err)
		}
		var known *APIError
		if err := reported(reply); !errors.As(err, &known) || known.Code != CodeRefused {
			t.Errorf("%s: got %v, want code %s", what, err, CodeRefused)
		}
	}
	if len(callers) > 0 {
		t.Errorf("called by %+v", <-callers)
	}
}
