package publish

import (
	"errors"
	"testing"

	"kedge/proto"
)

// What a host was to run before can be given back to it, as it was released then,
// unless that was withdrawn.
func TestFormer(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	a, b, c := w.toplevels[0], w.toplevels[1], w.toplevels[2]
	first := w.ciRelease(t, 1, a)
	if _, err := p.Publish(t.Context(), "test", Order{Release: first}); err != nil {
		t.Fatal(err)
	}
	w.mustPublish(t, p, b)

	p = w.open(t) // it outlives the controller
	for _, want := range []Former{
		{Toplevel: a, Closure: proto.DigestOf(nil), Release: proto.DigestOf(first.Payload)},
		{Toplevel: b, Closure: proto.DigestOf([]byte(b.String())), Release: w.want.Release},
	} {
		if got, known, err := p.Former(web1, want.Toplevel, proto.Digest{}); got != want || !known || err != nil {
			t.Errorf("got %+v, %t, %v; want %+v", got, known, err, want)
		}
	}
	if got, known, err := p.Former(web1, c, proto.Digest{}); known || err != nil {
		t.Errorf("what was never published: got %+v, %t, %v", got, known, err)
	}

	if _, _, err := p.Withdraw(t.Context(), "test", w.list(t, 5, first)); err != nil {
		t.Fatal(err)
	}
	if got, known, err := p.Former(web1, a, proto.Digest{}); known || !errors.Is(err, ErrWithdrawn) {
		t.Errorf("what was withdrawn: got %+v, %t, %v; want %v", got, known, err, ErrWithdrawn)
	}
	if _, known, err := p.Former(web1, c, proto.DigestOf(first.Payload)); known || !errors.Is(err, ErrWithdrawn) {
		t.Errorf("what is not known, under a release that was withdrawn: %t, %v; want %v", known, err, ErrWithdrawn)
	}
}
