package publish

import (
	"slices"
	"testing"
	"time"

	"kedge/proto"
)

// openPrivate opens a publisher whose hosts need tokens.
func (w *world) openPrivate(t *testing.T) *Publisher {
	t.Helper()
	o := w.options()
	o.Token = func(h proto.HostName, now time.Time) proto.CacheToken {
		token, err := proto.ParseCacheToken(h.String() + "." + now.Format("20060102150405"))
		if err != nil {
			t.Error(err)
		}
		return token
	}
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// token returns that in web1's assignment.
func (w *world) token(t *testing.T) (token proto.CacheToken, issued time.Time) {
	t.Helper()
	a, err := proto.OpenAssignment(w.shelf.records[web1].Desired.Assignment, w.signer.ControllerKeys())
	if err != nil {
		t.Fatal(err)
	}
	return a.CacheToken, a.Issued
}

func TestEveryAssignmentHasATokenOfItsOwnTime(t *testing.T) {
	w := newWorld(t)
	p := w.openPrivate(t)
	w.mustPublish(t, p, w.toplevels[0])
	want := func(when string) {
		t.Helper()
		if got, issued := w.token(t); got.Reveal() != "web1."+issued.Format("20060102150405") {
			t.Errorf("%s: the token is %q", when, got.Reveal())
		}
	}
	want("published")
	first, _ := w.token(t)
	w.clock = w.clock.Add(proto.AssignmentRenewal)
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("renewed")
	if got, _ := w.token(t); got == first {
		t.Error("the renewed assignment has the old token")
	}
}

func TestWhatASpareKeyAssignedComesWithAToken(t *testing.T) {
	w := newWorld(t)
	p := w.openPrivate(t)
	release := w.ciRelease(t, 50, w.toplevels[1])
	a := proto.Assignment{
		Host: web1, Serial: 10, Issued: w.clock, Expires: w.clock.Add(72 * time.Hour), Release: proto.DigestOf(release.Payload),
	}
	e, err := a.Sign(w.spare)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(t.Context(), "test", Order{Release: release, Assignment: &e}); err != nil {
		t.Fatal(err)
	}
	want := "web1." + a.Expires.Add(-proto.AssignmentLifetime).Format("20060102150405")
	if got := w.shelf.records[web1].Desired.CacheToken.Reveal(); got != want {
		t.Errorf("the token is %q, want %q", got, want)
	}
	enrolled := a.Expires.Add(time.Minute - proto.AssignmentLifetime)
	p.o.Since, w.clock = func(proto.HostName) time.Time { return enrolled }, enrolled
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := w.shelf.records[web1].Desired.CacheToken.Reveal(), "web1."+enrolled.Format("20060102150405"); got != want {
		t.Errorf("enrolled anew: the token is %q, want %q", got, want)
	}
}

func TestACacheThatBecomesPrivateOrPublicChangesEveryAssignmentAtOnce(t *testing.T) {
	w := newWorld(t)
	w.mustPublish(t, w.open(t), w.toplevels[0])
	for _, private := range []bool{true, false} {
		open := w.open
		if private {
			open = w.openPrivate
		}
		w.clock = w.clock.Add(2 * time.Second)
		p := open(t)
		if err := p.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, _ := w.token(t); got.IsZero() == private {
			t.Errorf("private: %t, but the token is %q", private, got.Reveal())
		}
		before := w.shelf.records[web1].Issued
		if err := p.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.shelf.records[web1].Issued; !got.Equal(before) {
			t.Error("it is signed again and again")
		}
	}
}

func TestToplevelsAreThoseThatAHostMayGoBackTo(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	if got := p.Toplevels(web1); got != nil {
		t.Errorf("before anything was published: %v", got)
	}
	a, b, c := w.toplevels[0], w.toplevels[1], w.toplevels[2]
	for _, step := range []struct {
		publish proto.StorePath
		want    []proto.StorePath
	}{
		{a, []proto.StorePath{a}},
		{a, []proto.StorePath{a}},
		{b, []proto.StorePath{b, a}},
		{c, []proto.StorePath{c, b, a}},
		{b, []proto.StorePath{b, c, a}},
	} {
		w.mustPublish(t, p, step.publish)
		if got := p.Toplevels(web1); !slices.Equal(got, step.want) {
			t.Errorf("after %s: %v, want %v", step.publish, got, step.want)
		}
	}
	if got, want := w.open(t).Toplevels(web1), []proto.StorePath{b, c, a}; !slices.Equal(got, want) {
		t.Errorf("after a restart: %v, want %v", got, want)
	}
	for _, name := range []string{"d", "f", "g", "h", "i", "j", "k", "l", "m", "n"} {
		w.mustPublish(t, p, toplevel(t, name))
	}
	if got := p.Toplevels(web1); len(got) != 1+maxBefore || slices.Contains(got, a) {
		t.Errorf("after many: %v, want %d, and the oldest forgotten", got, 1+maxBefore)
	}
}

func TestAHostThatIsEnrolledAnewGetsAnotherToken(t *testing.T) {
	w := newWorld(t)
	p := w.openPrivate(t)
	w.mustPublish(t, p, w.toplevels[0])
	first, _ := w.token(t)
	w.clock = w.clock.Add(time.Minute)
	enrolled := w.clock
	p.o.Since = func(proto.HostName) time.Time { return enrolled }
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, issued := w.token(t); got == first || issued.Before(enrolled) {
		t.Fatalf("the token is %q, issued %s", got.Reveal(), issued)
	}
	before := w.shelf.records[web1].Issued
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.shelf.records[web1].Issued; !got.Equal(before) {
		t.Error("it is signed again and again")
	}
	enrolled = w.clock.Add(time.Hour) // the clock was set back since
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.shelf.records[web1].Issued; !got.Equal(before) {
		t.Error("it is signed although that would not help")
	}
}
