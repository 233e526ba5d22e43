package controller_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"kedge/controller/controllertest"
	"kedge/controller/internal/natsd"
	"kedge/controller/internal/natstest"
	"kedge/controller/internal/pass"
	"kedge/internal/keyfile"
	"kedge/proto"
	"kedge/proto/bus"
)

// What a thief can do, as docs/security.md says.

// steal copies the keys of a controller's state directory.
func (c *controllerTest) steal(t *testing.T) (stolen string) {
	t.Helper()
	stolen = t.TempDir()
	if err := os.CopyFS(filepath.Join(stolen, "keys"), os.DirFS(filepath.Join(c.stateDir, "keys"))); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(stolen, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(name, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return stolen
}

func secretKey(t *testing.T, file string) proto.SecretKey {
	t.Helper()
	key, err := keyfile.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestTheDiskOfOneBoxHasHostsRunAnything: with the keys on it, and no controller.
func TestTheDiskOfOneBoxHasHostsRunAnything(t *testing.T) {
	c := start(t)
	web1, one, evil := hostName(t, "web1"), toplevel(t, "one"), toplevel(t, "evil")
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one}})
	c.await(t, "serial 1", wants(web1, 1, one))
	agent := controllertest.Agent{Host: web1, Server: c.NATSURL(), Credentials: c.credentials(t, "web1"), Trust: c.Trust()}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	stolen := c.steal(t)
	thief := c.fleet(t) // with credentials that are among the keys
	was, err := thief.GetDesired(t.Context(), web1)
	if err != nil {
		t.Fatal(err)
	}
	release, err := proto.Release{Host: web1, Serial: 1 << 40, Toplevel: evil, Closure: proto.DigestOf(nil)}.Sign(secretKey(t, filepath.Join(stolen, "keys", "release")))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	assignment, err := proto.Assignment{
		Host: web1, Serial: 2, Issued: now, Expires: now.Add(proto.AssignmentLifetime), Release: proto.DigestOf(release.Payload),
	}.Sign(secretKey(t, filepath.Join(stolen, "keys", "controller")))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := proto.Desired{Release: release, Assignment: assignment}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := thief.PutDesired(t.Context(), web1, forged, was.Seq); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitHost(t.Context(), web1, func(v proto.HostView) bool {
		return v.Status != nil && v.Status.Systems.Current == evil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestAnyDiskLetsAnybodyIn: onto the bus as any host, operator or the controller, and
// into the cache.
func TestAnyDiskLetsAnybodyIn(t *testing.T) {
	c := start(t)
	web1, one := hostName(t, "web1"), toplevel(t, "one")
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one}})
	c.await(t, "serial 1", wants(web1, 1, one))
	stolen := c.steal(t)
	keys, err := natsd.OpenKeys(stolen)
	if err != nil {
		t.Fatal(err)
	}
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	asHost, err := keys.HostJWT(web1, id.PublicKey, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	awaitState(t, connectTo(t, c.NATSURL(), credentialsFile(t, asHost, id)), func(s bus.State) bool { return s.Connected })
	admin, err := keys.OperatorCredentials(proto.RoleAdmin, "admin")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(stolen, "admin.creds")
	if err := os.WriteFile(file, admin, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, creds := range []string{file, keys.ControllerCredentials()} {
		awaitState(t, connectTo(t, c.NATSURL(), creds), func(s bus.State) bool { return s.Connected })
	}

	passes, err := pass.Open(filepath.Join(stolen, "keys", "cache-tokens"))
	if err != nil {
		t.Fatal(err)
	}
	order := c.desired(t, web1)
	if made := passes.Issue(web1, order.Assignment.Issued); made.IsZero() || made.Reveal() != order.Assignment.CacheToken.Reveal() {
		t.Error("the thief's token is another one than the controller's")
	}
}

// TestAServersOwnerReadsWhatIsOnIt: desired states, with the tokens in them, statuses and
// events.
func TestAServersOwnerReadsWhatIsOnIt(t *testing.T) {
	c := start(t)
	web1, one := hostName(t, "web1"), toplevel(t, "one")
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one}})
	c.await(t, "serial 1", wants(web1, 1, one))
	raw, err := c.fleet(t).GetDesired(t.Context(), web1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := proto.ParseDesired(raw.Data)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(d.Assignment.Payload), c.desired(t, web1).Assignment.CacheToken.Reveal()) {
		t.Error("the assignment has no token")
	}
	host := connectHost(t, c.NATSURL(), "web1", c.credentials(t, "web1"))
	if err := host.PublishStatus(t.Context(), proto.Status{Host: web1, Agent: "what web1 says", BootID: "1", Time: time.Now().UTC()}); err != nil {
		t.Fatal(err)
	}
	if _, err := host.PublishEvent(t.Context(), proto.Event{ID: "1", Host: web1, Time: time.Now().UTC(), Message: "what happened there"}); err != nil {
		t.Fatal(err)
	}
	c.stop(t) // and what it wrote is on the server's disk
	var disk strings.Builder
	err = filepath.WalkDir(filepath.Join(c.stateDir, "nats"), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		disk.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(raw.Data), "what web1 says", "what happened there"} {
		if !strings.Contains(disk.String(), text) {
			t.Errorf("%q is not on the server's disk", text)
		}
	}
}

// TestAServersOwnerLiesToOperators: answers are not signed.
func TestAServersOwnerLiesToOperators(t *testing.T) {
	s, err := natstest.Start(natstest.Open(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { natstest.Stop(s) })
	owner, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if _, err := owner.Subscribe(proto.EndpointFleet.Subject(), func(m *nats.Msg) { _ = m.Respond([]byte(`{"version":42}`)) }); err != nil {
		t.Fatal(err)
	}
	if err := owner.Flush(); err != nil {
		t.Fatal(err)
	}
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	operator := connectTo(t, s.ClientURL(), credentialsFile(t, "eyJ", id))
	if err := operator.AwaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := bus.Call[proto.FleetRequest, proto.FleetReply](t.Context(), operator, proto.EndpointFleet, proto.FleetRequest{})
	if err != nil || r.Version != 42 {
		t.Errorf("the operator is told %+v, %v; want the lie", r, err)
	}
}

// TestAccountsOfSomebodyElsesMakeCalls: where the controller has credentials of theirs,
// and knows none of the operators, it takes the server's word.
func TestAccountsOfSomebodyElsesMakeCalls(t *testing.T) {
	theirs, dir := startTheirs(t)
	runExternal(t, filepath.Join(dir, "state"), theirs)
	owner, err := nats.Connect(theirs.ClientURL(), nats.UserCredentials(theirs.ControllerCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	m := nats.NewMsg(proto.EndpointKeyAdd.Subject())
	m.Data = []byte(`{"role":"controller"}`)
	m.Header.Set("Nats-Request-Info", `{"name_tag":"admin","user":"UADMIN","host":"127.0.0.1"}`)
	reply, err := owner.RequestMsg(m, natstest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	if code := reply.Header.Get("Nats-Service-Error-Code"); code != "" {
		t.Errorf("a forged call: code %q, %s; want that it is taken", code, reply.Header.Get("Nats-Service-Error"))
	}
}

// TestAHostIsBelievedAboutItself: whoever is root there says what he likes.
func TestAHostIsBelievedAboutItself(t *testing.T) {
	c := start(t)
	web1, lie := hostName(t, "web1"), toplevel(t, "a-lie")
	host := connectHost(t, c.NATSURL(), "web1", c.credentials(t, "web1"))
	if err := host.PublishStatus(t.Context(), proto.Status{
		Host: web1, Agent: "test", BootID: "1", Time: time.Now().UTC(), Systems: proto.Systems{Current: lie, Proven: lie, Profile: lie, Booted: lie},
		Conditions: []proto.Condition{{Type: proto.ConditionReady, Status: proto.StatusTrue, Reason: proto.ReasonConverged}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitHost(t.Context(), web1, func(v proto.HostView) bool { return v.Status != nil && v.Status.Systems.Current == lie }); err != nil {
		t.Fatal(err)
	}
}
