package replica

import (
	"fmt"
	"slices"
	"testing"
)

// TestWhoFollowsNoticesThatNATSWasPutBack from an old copy, also if it heard of it when the
// stream had grown past what was read before, and the leader's lease stayed the same.
func TestWhoFollowsNoticesThatNATSWasPutBack(t *testing.T) {
	for name, follows := range map[string]bool{"it follows": true, "it was cut off": false} {
		t.Run(name, func(t *testing.T) {
			b := &fakeBus{}
			a := open(t, b, t.TempDir()).lead(t)
			a.save(t, "operators.json", "eve is an admin")
			yesterday, seq := slices.Clone(b.all), b.seq
			for range 10 {
				b.lease(t)
			}
			c := open(t, b, t.TempDir())
			if err := c.Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.all, b.seq = yesterday, seq
			d := open(t, b, a.dir).lead(t)
			d.save(t, "operators.json", "eve is revoked")
			for range 20 {
				if follows {
					if err := c.Follow(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				b.lease(t)
			}
			c.lead(t).has(t, map[string]string{"operators.json": "eve is revoked"})
		})
	}
}

// TestWhoFollowsNoticesThatNATSLostTheNewest, what was put there instead has the same
// sequence number.
func TestWhoFollowsNoticesThatNATSLostTheNewest(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	a.save(t, "desired/web1.json", "1")
	kept, seq := slices.Clone(b.all), b.seq
	a.save(t, "desired/web2.json", "1")
	c := open(t, b, t.TempDir())
	if err := c.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.all, b.seq = kept, seq
	a.save(t, "desired/web1.json", "2")
	c.lead(t)
	want := map[string]string{"desired/web1.json": "2", "desired/web2.json": "1"}
	c.has(t, want)
	open(t, b, t.TempDir()).lead(t).has(t, want)
}

// TestWhoFollowsReadsOnlyWhatIsNew, however often a file changes meanwhile.
func TestWhoFollowsReadsOnlyWhatIsNew(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	a.save(t, "desired/web1.json", "1")
	a.save(t, "desired/web2.json", "1")
	c := open(t, b, t.TempDir())
	if err := c.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * history {
		a.save(t, "desired/web2.json", fmt.Sprint(i))
	}
	b.reads = nil
	if err := c.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(b.reads); n != 2+history+1 { // what was read last, what is new, and that there is no more
		t.Errorf("%d reads: %d", n, b.reads)
	}
}
