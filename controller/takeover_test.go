package controller

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"kedge/internal/spec"
	"kedge/proto"
	"kedge/proto/bus"
)

// A takeoverAct is something that a controller does durably.
type takeoverAct struct {
	name string
	// prepare is done before, and do is what the controller is killed in; it may be done
	// again.
	prepare, do func(t *testing.T, w *takeoverWorld, c *crew) error
	// is says what is so of that now: nothing but before and after, whoever is asked.
	is            func(t *testing.T, w *takeoverWorld, c *crew) string
	before, after string
}

// TestALeaderThatIsKilledInAnActLeavesItDoneOrNot kills the leader at every write of every
// act, before the write has its effect and after it, and has another controller take over,
// or itself start again. What it did is there as a whole, or not at all; doing it again is
// safe; and no host is told two things under one serial.
func TestALeaderThatIsKilledInAnActLeavesItDoneOrNot(t *testing.T) {
	keys := newTakeoverKeys(t)
	for _, act := range slices.Concat(rolloutActs(), identityActs(t), statementActs()) {
		t.Run(act.name, func(t *testing.T) {
			t.Parallel()
			borders := 0
			for _, applied := range []bool{false, true} {
				for _, restarts := range []bool{false, true} {
					for n := 0; act.killedAt(t, newTakeoverWorld(t, keys), n, applied, restarts); n++ {
						borders++
					}
				}
			}
			if borders < 4 {
				t.Errorf("it was killed %d times: the test is blind", borders)
			}
		})
	}
}

// killedAt reports whether the act has an n-th write.
func (a takeoverAct) killedAt(t *testing.T, w *takeoverWorld, n int, applied, restarts bool) bool {
	t.Helper()
	name := fmt.Sprintf("killed at write %d, kept %t, starts again %t", n, applied, restarts)
	dir := t.TempDir()
	first := w.lead(t, dir)
	if a.prepare != nil {
		if err := a.prepare(t, w, first); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.is(t, w, first); got != a.before {
		t.Fatalf("before: %q, want %q", got, a.before)
	}
	first.bus.arm(n, applied)
	err := a.do(t, w, first)
	killed := first.bus.killed()
	if err != nil && !killed {
		t.Fatalf("%s: it failed by itself: %v", name, err)
	}
	if !restarts {
		dir = t.TempDir()
	}
	next := w.lead(t, dir)
	got := a.is(t, w, next)
	if got != a.after && (got != a.before || err == nil) {
		t.Errorf("%s (%v): %q, want %q or %q", name, err, got, a.before, a.after)
	}
	if err := a.do(t, w, next); err != nil {
		t.Errorf("%s: doing it again: %v", name, err)
	}
	if err := next.settle(t); err != nil {
		t.Errorf("%s: afterwards: %v", name, err)
	}
	if got := a.is(t, w, next); got != a.after {
		t.Errorf("%s: after it was done again: %q, want %q", name, got, a.after)
	}
	if err := w.told.check(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if again := a.is(t, w, w.lead(t, t.TempDir())); again != a.after { // all of it is shared
		t.Errorf("%s: to a third controller: %q, want %q", name, again, a.after)
	}
	return killed
}

// ada is who acts.
func ada() bus.Caller { return bus.Caller{Name: "ada"} }

// deployed has a revision of web1 and web2 go out, web1 first.
func deployed(digit, name string) func(*testing.T, *takeoverWorld, *crew) error {
	return deployedAs(canaryFirst, digit, name)
}

// deployedAs is deployed, with a spec.
func deployedAs(text, digit, name string) func(*testing.T, *takeoverWorld, *crew) error {
	return func(t *testing.T, _ *takeoverWorld, c *crew) error {
		t.Helper()
		toplevels := map[proto.HostName]proto.StorePath{host(t, "web1"): storePath(t, name), host(t, "web2"): storePath(t, name)}
		s, err := spec.Parse([]byte(text), slices.Collect(maps.Keys(toplevels)))
		if err != nil {
			return err
		}
		rev := revision(t, digit)
		closures, err := fakeClosures{}.Closures(t.Context(), storePath(t, name))
		if err != nil {
			return err
		}
		signed, err := c.runner.sign(rev, toplevels, closures)
		if err != nil {
			return err
		}
		if err := c.runner.begin(t.Context(), rev, s, toplevels, signed); err != nil {
			return err
		}
		return c.runner.round(t.Context())
	}
}

// rolledOut says which rollout there is, how many were before, and what web1 was told.
func rolledOut(t *testing.T, w *takeoverWorld, c *crew) string {
	t.Helper()
	now := c.runner.current()
	said := fmt.Sprintf("%s %s after %d", now.Revision.Short(), now.State, len(c.runner.past))
	for _, name := range []string{"web1", "web2"} {
		said += "; " + name
		last := proto.Serial(0)
		for _, x := range w.told.all[host(t, name)] {
			if x.Serial != last {
				said += fmt.Sprintf(" %s=%s", x.Serial, x.Toplevel.Base()[33:])
			}
			last = x.Serial
		}
	}
	return said
}

// acted does to rollouts what a person asks for; that it is so already is no error.
func acted(req proto.RolloutActRequest) func(*testing.T, *takeoverWorld, *crew) error {
	return func(t *testing.T, _ *takeoverWorld, c *crew) error {
		t.Helper()
		_, err := c.rollouts.act(t.Context(), ada(), req)
		if said, ok := errors.AsType[*bus.APIError](err); ok && said.Code == bus.CodeRefused {
			return nil
		}
		return err
	}
}

// both does two things one after the other.
func both(one, two func(*testing.T, *takeoverWorld, *crew) error) func(*testing.T, *takeoverWorld, *crew) error {
	return func(t *testing.T, w *takeoverWorld, c *crew) error {
		t.Helper()
		if err := one(t, w, c); err != nil {
			return err
		}
		return two(t, w, c)
	}
}

func looked(t *testing.T, _ *takeoverWorld, c *crew) error {
	t.Helper()
	return c.runner.round(t.Context())
}

// heldBackNow says who and what is held.
func heldBackNow(_ *testing.T, _ *takeoverWorld, c *crew) string {
	var said []string
	for _, h := range c.rollouts.holds.list("") {
		said = append(said, fmt.Sprintf("%s%s: %s", h.Host, h.Channel, h.Reason))
	}
	return strings.Join(said, "; ")
}

// rolloutActs are those on what goes out.
func rolloutActs() []takeoverAct {
	return []takeoverAct{
		{
			name: "a revision begins to go out", do: deployed("1", "a"), is: rolledOut,
			before: "-  after 0; web1; web2", after: "1111111111 running after 0; web1 1=a; web2",
		},
		{
			name: "a revision takes the place of another", prepare: deployed("1", "a"), do: deployed("2", "b"), is: rolledOut,
			before: "1111111111 running after 0; web1 1=a; web2", after: "2222222222 running after 1; web1 1=a 2=b; web2",
		},
		{
			name: "a rollout is paused", prepare: deployed("1", "a"), is: rolledOut,
			do:     acted(proto.RolloutActRequest{Act: proto.RolloutActPause, Rollout: "main"}),
			before: "1111111111 running after 0; web1 1=a; web2", after: "1111111111 paused after 0; web1 1=a; web2",
		},
		{
			name: "a rollout is resumed", prepare: both(deployed("1", "a"), acted(proto.RolloutActRequest{Act: proto.RolloutActPause, Rollout: "main"})), is: rolledOut,
			do:     acted(proto.RolloutActRequest{Act: proto.RolloutActResume, Rollout: "main"}),
			before: "1111111111 paused after 0; web1 1=a; web2", after: "1111111111 running after 0; web1 1=a; web2",
		},
		{
			name: "a rollout is approved of", prepare: deployedAs(`{"rollout": {"approval": true, "waves": [{"name": "first", "hosts": "web1"}]}}`, "1", "a"), is: rolledOut,
			do:     both(acted(proto.RolloutActRequest{Act: proto.RolloutActPromote, Rollout: "main"}), looked),
			before: "1111111111 running after 0; web1; web2", after: "1111111111 running after 0; web1 1=a; web2",
		},
		{
			name: "a rollout is aborted", prepare: deployed("1", "a"), is: rolledOut,
			do:     acted(proto.RolloutActRequest{Act: proto.RolloutActAbort, Rollout: "main"}),
			before: "1111111111 running after 0; web1 1=a; web2", after: "1111111111 aborted after 0; web1 1=a; web2",
		},
		{
			name: "a rollout goes back", prepare: both(deployed("1", "a"), deployed("2", "b")), is: rolledOut,
			do:     both(acted(proto.RolloutActRequest{Act: proto.RolloutActRevert, Rollout: "main"}), looked),
			before: "2222222222 running after 1; web1 1=a 2=b; web2", after: "2222222222 reverting after 1; web1 1=a 2=b 3=a; web2",
		},
		{
			name: "a host is held", prepare: deployed("1", "a"), is: heldBackNow,
			do: func(t *testing.T, w *takeoverWorld, c *crew) error {
				t.Helper()
				hold := proto.RolloutActRequest{Act: proto.RolloutActHold, Hosts: []proto.HostName{host(t, "web1")}, Reason: "so"}
				return acted(hold)(t, w, c)
			},
			before: "", after: "web1: so",
		},
		{
			name: "everything is frozen", is: heldBackNow,
			do:     acted(proto.RolloutActRequest{Act: proto.RolloutActFreeze, Rollout: "main", Reason: "so"}),
			before: "", after: "main: so",
		},
		{
			name: "everything is thawed", is: heldBackNow,
			prepare: acted(proto.RolloutActRequest{Act: proto.RolloutActFreeze, Rollout: "main", Reason: "so"}),
			do:      acted(proto.RolloutActRequest{Act: proto.RolloutActThaw, Rollout: "main"}),
			before:  "main: so", after: "",
		},
	}
}
