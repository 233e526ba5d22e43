//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/e2e/fleet"
	"kedge/e2e/hosts"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestAttackForgedIntent: whoever owns the bus writes what they like where an agent
// reads what its host is to run; then with the controller's key, and with the release
// key, too. Each time the agent says why not, in its status, its events and its
// metric, and nothing on the host changes.
func TestAttackForgedIntent(t *testing.T) {
	t.Parallel()
	f := up(t, "web1", "web2")
	bus := ownTheBus(t, f)
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	older := bus.read(t, "web1")
	beforeThat := f.Host("web1").MustFacts(t)
	commit(t, f, "after", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("after")) })
	foreign := mustGenerate(t, "mallory-1")
	controller, release := stolenKey(t, f, "controller"), stolenKey(t, f, "release")
	impostor := mustGenerate(t, release.Public().Name())

	forge := func(change func(d *proto.Desired)) func(now proto.Desired) []byte {
		return func(now proto.Desired) []byte {
			change(&now)
			return mustEncode(t, now)
		}
	}
	// reassign has the controller's key assign what is released, otherwise.
	reassign := func(change func(a *proto.Assignment)) func(now proto.Desired) []byte {
		return forge(func(d *proto.Desired) {
			a, err := proto.OpenAssignment(d.Assignment, []proto.PublicKey{controller.Public()})
			if err != nil {
				t.Fatal(err)
			}
			change(&a)
			if d.Assignment, err = a.Sign(controller); err != nil {
				t.Fatal(err)
			}
		})
	}
	withdraw := func(key proto.SecretKey) func(now proto.Desired) []byte {
		return forge(func(d *proto.Desired) {
			payload := fmt.Appendf(nil, `{"format":1,"serial":1,"issued":%q,"releases":[%q]}`, time.Now().UTC().Format(time.RFC3339), proto.DigestOf(d.Release.Payload))
			e := proto.Seal(proto.PayloadWithdrawals, payload, key)
			d.Withdrawals = &e
		})
	}
	for _, attack := range []struct {
		name string
		host string
		data func(now proto.Desired) []byte
		want proto.Reason
	}{
		{"arbitrary software", "web1", forge(func(d *proto.Desired) {
			d.Release = proto.Seal(proto.PayloadRelease, d.Release.Payload, foreign)
		}), proto.ReasonUnknownKey},
		{"arbitrary software under a name that is trusted", "web1", forge(func(d *proto.Desired) {
			d.Release = proto.Seal(proto.PayloadRelease, d.Release.Payload, impostor)
		}), proto.ReasonBadSignature},
		{"a statement of another kind", "web1", forge(func(d *proto.Desired) { d.Release = d.Assignment }), proto.ReasonMalformed},
		{"rollback, or a replay", "web1", func(proto.Desired) []byte { return mustEncode(t, older) }, proto.ReasonRollback},
		{"mix and match", "web1", forge(func(d *proto.Desired) { d.Release = older.Release }), proto.ReasonMismatch},
		{"wrong host", "web1", func(proto.Desired) []byte { return mustEncode(t, bus.read(t, "web2")) }, proto.ReasonWrongHost},
		{"malformed", "web1", func(proto.Desired) []byte { return []byte("{") }, proto.ReasonMalformed},
		{"an unknown format", "web1", func(proto.Desired) []byte { return []byte(`{"format":2}`) }, proto.ReasonUnknownFormat},
		{"endless data", "web1", func(now proto.Desired) []byte {
			return append(mustEncode(t, now), bytes.Repeat([]byte(" "), proto.MaxDesired)...)[:proto.MaxDesired+1]
		}, proto.ReasonOversized},
		{"fast-forward", "web2", reassign(func(a *proto.Assignment) { a.Serial += proto.MaxSerialJump + 1 }), proto.ReasonMalformed},
		{"what has expired", "web2", reassign(func(a *proto.Assignment) {
			a.Serial++
			a.Issued = a.Issued.Add(-25 * time.Hour)
			a.Expires = a.Issued.Add(proto.AssignmentLifetime)
		}), proto.ReasonExpired},
		{"from the future", "web2", reassign(func(a *proto.Assignment) {
			a.Serial++
			a.Issued = a.Issued.Add(time.Hour)
			a.Expires = a.Issued.Add(proto.AssignmentLifetime)
		}), proto.ReasonClock},
		{"a withdrawal by the controller's key alone", "web2", withdraw(controller), proto.ReasonUnknownKey},
		{"a withdrawal", "web2", withdraw(release), proto.ReasonWithdrawn},
	} {
		t.Run(attack.name, func(t *testing.T) {
			h := f.Host(attack.host)
			before, refused := requireOn(t, h, "after"), rejected(t, h, attack.want)
			now := bus.read(t, h.Name())
			bus.write(t, h.Name(), attack.data(now))
			awaitReason(t, h, proto.ConditionAccepted, proto.StatusFalse, attack.want)
			h.MustAwaitEvent(t, "a refusal", func(e proto.Event) bool { return e.Reason == attack.want && e.Deployment == "" })
			if again := rejected(t, h, attack.want); again <= refused {
				t.Errorf("%s: %d refusals because of %q are counted, there were %d", h.Name(), again, attack.want, refused)
			}
			requireSame(t, h, before)
			bus.write(t, h.Name(), mustEncode(t, now)) // a replay of what is accepted already
			if attack.want != proto.ReasonWithdrawn {
				h.MustAwaitView(t, "acceptance", func(v proto.HostView) bool { return condition(v, proto.ConditionAccepted).Status == proto.StatusTrue })
			}
			requireSame(t, h, before)
		})
	}
	// The host is none the worse for it, and neither is the controller.
	f.MustKedge(t, "publish", "web1="+beforeThat.Current, "--wait")
	requireOn(t, f.Host("web1"), "before")
}

// A stolenBus is the controller's bucket of desired states, in the hands of somebody
// who has its credentials.
type stolenBus struct{ jetstream.KeyValue }

// ownTheBus connects to the fleet's NATS server with the credentials on its
// controller's disk.
func ownTheBus(t *testing.T, f *fleet.Fleet) stolenBus {
	t.Helper()
	creds, err := f.Build().ReadFile(controllerKeys + "controller.creds")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "stolen.creds")
	if err := os.WriteFile(file, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("tls://127.0.0.1:4222", nats.SetCustomDialer(onMachine{t.Context(), f.Build()}), nats.UserCredentials(file),
		nats.Secure(&tls.Config{InsecureSkipVerify: true})) //nolint:gosec // the thief does not mind who it is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), proto.BucketDesired)
	if err != nil {
		t.Fatal(err)
	}
	return stolenBus{kv}
}

// onMachine dials on a machine. It implements nats.CustomDialer.
type onMachine struct {
	ctx context.Context //nolint:containedctx // the interface has none
	m   *hosts.Machine
}

func (o onMachine) Dial(network, address string) (net.Conn, error) {
	return o.m.DialContext(o.ctx, network, address)
}

// read returns what a host is to run.
func (b stolenBus) read(t *testing.T, host string) proto.Desired {
	t.Helper()
	entry, err := b.Get(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	d, err := proto.ParseDesired(entry.Value())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// write has the host's agent read data.
func (b stolenBus) write(t *testing.T, host string, data []byte) {
	t.Helper()
	if _, err := b.Put(t.Context(), host, data); err != nil {
		t.Fatal(err)
	}
}

// stolenKey returns one of the controller's signing keys.
func stolenKey(t *testing.T, f *fleet.Fleet, name string) proto.SecretKey {
	t.Helper()
	text, err := f.Build().ReadFile(controllerKeys + name)
	if err != nil {
		t.Fatal(err)
	}
	key, err := proto.ParseSecretKey(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustGenerate(t *testing.T, name string) proto.SecretKey {
	t.Helper()
	key, err := proto.GenerateKey(name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustEncode(t *testing.T, d proto.Desired) []byte {
	t.Helper()
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rejected returns how many desired states the host's agent says that it refused for
// that reason.
func rejected(t *testing.T, h *fleet.Host, why proto.Reason) int {
	t.Helper()
	metrics := h.MustRun(t, "curl", "--silent", "--fail", "http://127.0.0.1:9417/metrics")
	line := regexp.MustCompile(`(?m)^kedge_agent_rejected_total\{reason="` + regexp.QuoteMeta(string(why)) + `"\} (\d+)$`).FindStringSubmatch(metrics)
	if line == nil {
		t.Fatalf("%s: refusals because of %q are not counted:\n%s", h.Name(), why, metrics)
	}
	n, err := strconv.Atoi(line[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
