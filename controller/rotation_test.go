package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"

	"kedge/controller/internal/sign"
	"kedge/proto"
	"kedge/proto/bus"
)

// Whom a host trusts counts once what it runs is proven, in whatever specialisation.
func TestTrustCountsOnceItIsProven(t *testing.T) {
	key, err := proto.GenerateKey("controller-2", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pathA, pathB := storePath(t, "a"), storePath(t, "b")
	for name, c := range map[string]struct {
		systems proto.Systems
		verdict proto.Verdict
		want    int
	}{
		"proven":                          {systems: proto.Systems{Current: pathA, Profile: pathA, Proven: pathA}, want: 1},
		"in a specialisation":             {systems: proto.Systems{Current: pathB, Specialisation: "docked", Profile: pathA, Proven: pathA}, want: 1},
		"in probation":                    {systems: proto.Systems{Current: pathA, Profile: pathA, Proven: pathA}, verdict: proto.VerdictPending},
		"something else":                  {systems: proto.Systems{Current: pathB, Profile: pathA, Proven: pathA}},
		"a specialisation of another one": {systems: proto.Systems{Current: pathB, Specialisation: "docked", Profile: pathB, Proven: pathA}},
	} {
		t.Run(name, func(t *testing.T) {
			status := &proto.Status{
				Systems: c.systems, Deployment: proto.DeploymentStatus{Verdict: c.verdict},
				Trust: proto.Trust{ControllerKeys: []proto.PublicKey{key.Public()}}.Status(),
			}
			s := judgeKey(key.Public(), proto.KeyController, []proto.PublicKey{key.Public()}, []proto.HostView{{Status: status}})
			if s.Trusted != c.want || len(s.Lacking) != 1-c.want {
				t.Errorf("trusted by %d, lacked by %v; want %d", s.Trusted, s.Lacking, c.want)
			}
		})
	}
}

// TestAKeyThatNobodyTrustsYetIsNotFollowedByAnother: the answer of the first call may
// have been lost, and its entry in the audit; or two admins do the same at once.
func TestAKeyThatNobodyTrustsYetIsNotFollowedByAnother(t *testing.T) {
	k := newKeyAPI(t, sign.Options{})
	for _, role := range []proto.KeyRole{proto.KeyController, proto.KeyRelease} {
		key := k.mustAdd(t, role, false)
		if again := k.mustAdd(t, role, true); again != key {
			t.Errorf("%s: added %s, then %s; want the same", role, key.Name(), again.Name())
		}
		k.trusted(t, key)
		next := k.mustAdd(t, role, false)
		if next == key {
			t.Errorf("%s: %s is trusted, and was not followed by another", role, key.Name())
		}
		if _, err := k.retire(t.Context(), ada(), proto.KeyRetireRequest{Name: next.Name(), Force: true}); err != nil {
			t.Fatal(err)
		}
		if another := k.mustAdd(t, role, false); another == next {
			t.Errorf("%s: %s was retired, and added again", role, next.Name())
		}
	}
	added := slices.DeleteFunc(k.audited, func(e proto.AuditEntry) bool { return e.Act != proto.ActKeyAdd })
	if len(added) != 8 || added[1].Message != added[0].Message || added[1].Actor != "ada" {
		t.Errorf("in the audit are %+v; want one for each time", added)
	}
}

// TestAKeyIsRetiredOnce: whoever asks again, because the answer was lost, is not refused; but
// a key that never was is not said to be retired.
func TestAKeyIsRetiredOnce(t *testing.T) {
	k := newKeyAPI(t, sign.Options{})
	retire := func(name string) (proto.KeyRetireReply, error) {
		return k.retire(t.Context(), ada(), proto.KeyRetireRequest{Name: name, Force: true})
	}
	for _, role := range []proto.KeyRole{proto.KeyController, proto.KeyRelease} {
		key := k.mustAdd(t, role, false)
		if r, err := retire(key.Name()); err != nil || r.Again {
			t.Errorf("%s: %+v, %v", key.Name(), r, err)
		}
		if r, err := retire(key.Name()); err != nil || !r.Again {
			t.Errorf("%s again: %+v, %v; want that it was retired before", key.Name(), r, err)
		}
	}
	_, err := retire("kedge-nosuch-1")
	if said, ok := errors.AsType[*bus.APIError](err); !ok || said.Code != bus.CodeNotFound {
		t.Errorf("one that nobody knows: error = %v, want that there is none", err)
	}
	if n := len(slices.DeleteFunc(k.audited, func(e proto.AuditEntry) bool { return e.Act != proto.ActKeyRetire })); n != 2 {
		t.Errorf("in the audit are %d; want each key once", n)
	}
}

// TestWhoTrustsAKeyIsNotSaidBeforeItIsKnown, as right after a start.
func TestWhoTrustsAKeyIsNotSaidBeforeItIsKnown(t *testing.T) {
	k := newKeyAPI(t, sign.Options{})
	k.mustAdd(t, proto.KeyController, false)
	k.fleet = NewFleet(k.now)
	_, err := k.add(t.Context(), ada(), proto.KeyAddRequest{Role: proto.KeyController})
	if said, ok := errors.AsType[*bus.APIError](err); !ok || said.Code != bus.CodeUnavailable {
		t.Errorf("error = %v, want that it is to be made again", err)
	}
	k.fleet.CaughtUp()
	k.mustAdd(t, proto.KeyController, true)
}

// TestWhatCannotBeRotatedIsRefused: that is no fault of the controller's.
func TestWhatCannotBeRotatedIsRefused(t *testing.T) {
	add := func(role proto.KeyRole) func(*testing.T, *testKeyAPI) error {
		return func(t *testing.T, k *testKeyAPI) error {
			t.Helper()
			_, err := k.add(t.Context(), ada(), proto.KeyAddRequest{Role: role})
			return err
		}
	}
	for name, c := range map[string]struct {
		options sign.Options
		do      func(*testing.T, *testKeyAPI) error
		want    error
	}{
		"the last key is retired": {want: sign.ErrLastKey, do: func(t *testing.T, k *testKeyAPI) error {
			t.Helper()
			_, err := k.retire(t.Context(), ada(), proto.KeyRetireRequest{Name: k.signer.ControllerKeys()[0].Name(), Force: true})
			return err
		}},
		"a release key is added where none is held": {options: sign.Options{NoRelease: true}, want: sign.ErrHoldsNone, do: add(proto.KeyRelease)},
		"a key is added to many": {want: sign.ErrTooManyKeys, do: func(t *testing.T, k *testKeyAPI) error {
			t.Helper()
			for range 3 {
				k.trusted(t, k.mustAdd(t, proto.KeyController, false))
			}
			return add(proto.KeyController)(t, k)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.do(t, newKeyAPI(t, c.options))
			said, ok := errors.AsType[*bus.APIError](err)
			if !ok || said.Code != bus.CodeRefused || !strings.Contains(said.Message, c.want.Error()) {
				t.Errorf("got %v, want it refused: %v", err, c.want)
			}
		})
	}
}

// A testKeyAPI is one of a controller that only signs, with a host web1.
type testKeyAPI struct {
	*keyAPI

	audited []proto.AuditEntry
}

func newKeyAPI(t *testing.T, o sign.Options) *testKeyAPI {
	t.Helper()
	o.Dir, o.Name = t.TempDir(), "test"
	signer, err := sign.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	c := newTakeoverWorld(t, takeoverKeys{signer: signer}).lead(t, t.TempDir())
	k := &testKeyAPI{keyAPI: c.keys}
	k.audit = func(_ context.Context, e proto.AuditEntry) { k.audited = append(k.audited, e) }
	return k
}

// mustAdd adds a key, which was made before or not.
func (k *testKeyAPI) mustAdd(t *testing.T, role proto.KeyRole, before bool) proto.PublicKey {
	t.Helper()
	r, err := k.add(t.Context(), ada(), proto.KeyAddRequest{Role: role})
	if err != nil {
		t.Fatal(err)
	}
	if r.Again != before {
		t.Errorf("%s was made before: %t, want %t", r.Key.Name(), r.Again, before)
	}
	return r.Key
}

// trusted has web1 run what trusts a key, for whatever it is.
func (k *testKeyAPI) trusted(t *testing.T, key proto.PublicKey) {
	t.Helper()
	keys := []proto.PublicKey{key}
	k.fleet.Apply(proto.Status{
		Host: host(t, "web1"), Systems: proto.Systems{Current: storePath(t, "a"), Profile: storePath(t, "a"), Proven: storePath(t, "a")},
		Trust: proto.Trust{ReleaseKeys: keys, ControllerKeys: keys}.Status(),
	}, k.now())
}
