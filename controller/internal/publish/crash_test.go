package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"kedge/proto"
)

// TestCrashAtEveryCall publishes three toplevels for a host, and dies at the n-th
// call to disk or bus, before or after its effect, for every n. A new publisher
// then goes on from the disk. In the end file and bus must agree on the last
// toplevel, and no serial may ever have stood for two things.
func TestCrashAtEveryCall(t *testing.T) {
	signer := newSigner(t)
	for _, applied := range []bool{false, true} {
		for n := 0; ; n++ {
			w := newWorldOf(t, signer)
			crashed := w.publishAllWithCrash(t, n, applied)
			name := fmt.Sprintf("crash at call %d, applied %t", n, applied)
			w.check(t, name)
			if !crashed {
				if n < 6 {
					t.Fatalf("%s: only %d calls were made; the test is blind", name, n)
				}
				break
			}
		}
	}
}

// TestCrashTwice does the same with a second crash while going on.
func TestCrashTwice(t *testing.T) {
	signer := newSigner(t)
	for n := range 12 {
		for m := range 8 {
			w := newWorldOf(t, signer)
			w.publishAllWithCrash(t, n, n%2 == 0, m)
			w.check(t, fmt.Sprintf("crash at call %d, then at %d", n, m))
		}
	}
}

// publishAllWithCrash publishes all of w.toplevels, starting again after each
// crash with whatever is not published yet. It reports whether the first crash
// came to be.
func (w *world) publishAllWithCrash(t *testing.T, crashAt int, applied bool, more ...int) (crashed bool) {
	t.Helper()
	w.faults.set(crashAt, applied)
	next := 0
	for range 100 {
		err := w.life(t.Context(), &next)
		if err == nil {
			return crashed
		}
		if !errors.Is(err, errCrash) {
			t.Fatalf("publish: %v", err)
		}
		crashed = true
		if len(more) > 0 {
			w.faults.set(more[0], !applied)
			more = more[1:]
		} else {
			w.faults.set(-1, false)
		}
	}
	t.Fatal("never done")
	return crashed
}

// life is one life of a controller: it opens, syncs, and publishes what is next.
// Like the runner it publishes nothing that is wanted already.
func (w *world) life(ctx context.Context, next *int) error {
	p, err := Open(w.options())
	if err != nil {
		return err
	}
	if err := p.Sync(ctx); err != nil {
		return err
	}
	for ; *next < len(w.toplevels); *next++ {
		if w.want.Toplevel == w.toplevels[*next] {
			continue // it was durable before the crash
		}
		if _, err := p.Publish(ctx, "test", Order{Release: w.release(p, w.toplevels[*next]), Mode: proto.ModeSwitch}); err != nil {
			return err
		}
	}
	return p.Sync(ctx)
}

// check requires that disk and bus hold the same, last statement.
func (w *world) check(t *testing.T, name string) {
	t.Helper()
	r, saved := w.shelf.records[web1]
	if !saved {
		t.Fatalf("%s: nothing is durable", name)
	}
	want, err := r.Desired.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got := w.bus.data[web1]; !bytes.Equal(got, want) {
		t.Errorf("%s: the bus holds something else than the disk", name)
	}
	if got, want := r.Target.Toplevel, w.toplevels[len(w.toplevels)-1]; got != want {
		t.Errorf("%s: toplevel = %s, want %s", name, got, want)
	}
	order, err := r.Desired.Verify(w.trust(), web1, proto.Floor{}, w.clock)
	if err != nil {
		t.Errorf("%s: a host refuses it: %v", name, err)
	} else if order.Assignment.Serial != r.Target.Serial {
		t.Errorf("%s: serial = %s, the record says %s", name, order.Assignment.Serial, r.Target.Serial)
	}
	last := proto.Serial(0)
	said := map[proto.Serial]proto.StorePath{}
	for _, target := range w.bus.history {
		if before, again := said[target.Serial]; again && before != target.Toplevel {
			t.Errorf("%s: serial %s stood for two toplevels", name, target.Serial)
		}
		if target.Serial < last {
			t.Errorf("%s: serial %s was put after %s", name, target.Serial, last)
		}
		said[target.Serial], last = target.Toplevel, target.Serial
	}
}
