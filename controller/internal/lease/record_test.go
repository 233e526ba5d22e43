package lease

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kedge/proto"
)

var (
	values = cmpopts.EquateComparable(proto.HostName{})
	began  = time.Date(2026, time.November, 26, 10, 0, 0, 0, time.UTC)
)

func host(t testing.TB, name string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// after is a holder that got its lease, and asked last, that long after began.
func after(t testing.TB, name string, since, asked time.Duration) Holder {
	t.Helper()
	return Holder{Host: host(t, name), Deployment: "1", Since: began.Add(since), Asked: began.Add(asked)}
}

func TestGrant(t *testing.T) {
	const h = time.Hour
	web1, web2 := after(t, "web1", 0, 0), after(t, "web2", h, h)
	for _, c := range []struct {
		name    string
		rules   Rules
		before  record
		asks    Holder
		granted bool
		want    record
		expired []Holder
	}{
		{"grants the first", Rules{Slots: 1}, nil, web1, true, record{web1}, nil},
		{"refuses the second where there is one slot", Rules{Slots: 1}, record{web1}, web2, false, record{web1}, nil},
		{"grants the second where there are two", Rules{Slots: 2}, record{web1}, web2, true, record{web1, web2}, nil},
		{"grants again what a host has, since it has it", Rules{Slots: 1}, record{web1}, after(t, "web1", h, h), true, record{after(t, "web1", 0, h)}, nil},
		{"grants again where there are fewer slots now", Rules{Slots: 1}, record{web1, web2}, after(t, "web2", 2*h, 2*h), true, record{web1, after(t, "web2", h, 2*h)}, nil},
		{"refuses another where there are fewer slots now", Rules{Slots: 1}, record{web1, web2}, after(t, "web3", h, h), false, record{web1, web2}, nil},
		{"keeps the lease of who is gone for ever", Rules{Slots: 1}, record{web1}, after(t, "web2", 10000*h, 10000*h), false, record{web1}, nil},
		{"keeps a lease until it is old", Rules{Slots: 1, MaxAge: h + 1}, record{web1}, web2, false, record{web1}, nil},
		{"gives the place of an old lease to who needs it", Rules{Slots: 1, MaxAge: h}, record{web1}, web2, true, record{web2}, []Holder{web1}},
		{"counts the age since a host asked last", Rules{Slots: 1, MaxAge: h}, record{after(t, "web1", 0, 1)}, web2, false, record{after(t, "web1", 0, 1)}, nil},
		{"grants an old lease again", Rules{Slots: 1, MaxAge: h}, record{web1}, after(t, "web1", 2*h, 2*h), true, record{after(t, "web1", 0, 2*h)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := slices.Clone(c.before)
			got, expired, granted := c.before.grant(c.asks, c.rules)
			if granted != c.granted {
				t.Errorf("granted: got %t, want %t", granted, c.granted)
			}
			if d := cmp.Diff(c.want, got, values); d != "" {
				t.Errorf("record (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.expired, expired, values); d != "" {
				t.Errorf("expired (-want +got):\n%s", d)
			}
			if d := cmp.Diff(before, c.before, values); d != "" {
				t.Errorf("the record before was changed:\n%s", d)
			}
		})
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	for _, r := range []record{nil, {after(t, "web1", 0, 1), {Host: host(t, "db1"), Since: began, Asked: began}}} {
		b, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parse(b); err != nil || !cmp.Equal(got, r, values, cmpopts.EquateEmpty()) {
			t.Errorf("parse %s: got %v, %v, want %v", b, got, err, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", `{}`, `{"format":1}`, `{"format":2,"holders":[]}`, `{"format":1,"holders":[{}]}`,
		`{"format":1,"holders":[{"host":"web1","deployment":"7-1","since":"2026-11-26T10:00:00Z","asked":"2026-11-26T10:00:00Z"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b)
		if err != nil {
			if !errors.Is(err, proto.ErrMalformed) && !errors.Is(err, proto.ErrUnknownFormat) {
				t.Errorf("parse %q: got error %v", b, err)
			}
			return
		}
		for _, h := range r {
			if h.Host.IsZero() {
				t.Errorf("parse %q: a lease of nobody", b)
			}
		}
		written, err := r.encode()
		if err != nil {
			t.Fatalf("encode %+v: %v", r, err)
		}
		if again, err := parse(written); err != nil || !cmp.Equal(again, r, values, cmpopts.EquateEmpty()) {
			t.Errorf("parse again %q: got %v, %v, want %v", written, again, err, r)
		}
	})
}
