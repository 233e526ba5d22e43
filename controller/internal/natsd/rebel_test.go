package natsd_test

import (
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"kedge/proto"
	"kedge/proto/bus"
)

// A rebel is a client without manners, and what the server said to it.
type rebel struct {
	*nats.Conn
	id         bus.Identity
	violations chan error
	lost       chan struct{} // an element for the connection's end
	wire       net.Conn      // below the client, for what it would not say
}

// Dial implements nats.CustomDialer.
func (r *rebel) Dial(network, address string) (_ net.Conn, err error) {
	r.wire, err = net.DialTimeout(network, address, patience)
	return r.wire, err
}

// rebel connects with nats.go alone, to try what package bus would not.
func (w *world) rebel(t *testing.T, file string, id bus.Identity) *rebel {
	t.Helper()
	r := &rebel{id: id, violations: make(chan error, 100), lost: make(chan struct{}, 1)}
	nc, err := nats.Connect(w.server.ClientURL(), nats.UserCredentials(file), nats.CustomInboxPrefix(proto.InboxRoot+id.PublicKey),
		nats.SetCustomDialer(r), nats.NoReconnect(),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { r.lost <- struct{}{} }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { r.violations <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	r.Conn = nc
	return r
}

// complaints returns what the server has said against what was sent so far. A
// last offence, which it answers in order, tells the end.
func (r *rebel) complaints(t *testing.T) []error {
	t.Helper()
	const end = "the.last.offence"
	if err := r.Publish(end, nil); err != nil {
		t.Fatal(err)
	}
	var errs []error
	for {
		err := receive(t, r.violations)
		if strings.Contains(err.Error(), end) {
			return errs
		}
		errs = append(errs, err)
	}
}

// mustNotPublish fails the test unless the server refuses what is published on
// subject.
func mustNotPublish(t *testing.T, r *rebel, subject string) {
	t.Helper()
	if err := r.Publish(subject, nil); err != nil {
		t.Fatal(err)
	}
	mustComplain(t, r, "publish", subject)
}

// mustNotSubscribe fails the test unless the server refuses the subscription.
func mustNotSubscribe(t *testing.T, r *rebel, subject string) {
	t.Helper()
	sub, err := r.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	mustComplain(t, r, "subscription", subject)
}

func mustComplain(t *testing.T, r *rebel, what, subject string) {
	t.Helper()
	for _, err := range r.complaints(t) {
		if text := strings.ToLower(err.Error()); strings.Contains(text, what) && strings.Contains(text, strings.ToLower(`"`+subject+`"`)) {
			return
		}
	}
	t.Errorf("%s %s: the server does not complain", what, subject)
}
