package controller

import (
	"errors"
	"strings"
	"testing"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

func TestASecondMachineIsTurnedAwayAndShown(t *testing.T) {
	dir := t.TempDir()
	o, web1, key := newOffice(t, dir), host(t, "web1"), userKey(t)
	add := func(key string) {
		t.Helper()
		if _, err := o.add(t.Context(), bus.Caller{Name: "ada"}, proto.HostAddRequest{Host: web1, PublicKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	renew := func(key, instance string) error {
		_, err := o.renew(t.Context(), web1, proto.RenewRequest{PublicKey: key, Expires: o.clock.Add(time.Hour), Instance: instance})
		return err
	}
	add(key)
	if err := errors.Join(renew(key, ""), renew(key, "m1"), renew(key, "m1"), renew(key, "")); err != nil {
		t.Fatalf("the machine that was first: %v", err)
	}
	o = newOffice(t, dir) // as after a restart
	for range 2 {
		said, ok := errors.AsType[*bus.APIError](renew(key, "m2"))
		if !ok || said.Code != bus.CodeConflict || !strings.Contains(said.Message, "kedge host token") {
			t.Errorf("another machine: got %v, want a conflict that says what to do", said)
		}
	}
	if v, _ := o.fleet.Host(web1); v.Host.Rival == nil || !strings.Contains(v.Host.Rival.Message, "m2") {
		t.Errorf("rival = %+v", v.Host.Rival)
	}
	if len(o.audits) != 1 || o.audits[0].Act != proto.ActSecondMachine {
		t.Errorf("audit = %+v, want it once", o.audits)
	}
	if err := renew(key, "m1"); err != nil {
		t.Errorf("the first machine: %v", err)
	}
	o.clock = o.clock.Add(rivalFor)
	o.fleet.Sweep()
	if v, _ := o.fleet.Host(web1); v.Host.Rival != nil {
		t.Errorf("after a while: rival = %+v", v.Host.Rival)
	}

	second := userKey(t)
	add(second) // installed anew
	if err := renew(second, "m2"); err != nil {
		t.Errorf("with a key of its own: %v", err)
	}
}

func TestMachinesThatTakeTurnsAreTwo(t *testing.T) {
	now := time.Now()
	web1 := host(t, "web1")
	for _, c := range []struct {
		name  string
		boots []string
		want  bool
	}{
		{"one boot", []string{"a", "a", "a"}, false},
		{"reboots", []string{"a", "b", "c", "d"}, false},
		{"an agent that does not say", []string{"a", "", "a"}, false},
		{"back to a boot before", []string{"a", "b", "a"}, true},
		{"three machines", []string{"a", "b", "c", "a"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := NewFleet(func() time.Time { return now })
			news := 0
			for range 2 {
				for _, boot := range c.boots {
					if f.Heard(web1, boot, now) {
						news++
					}
				}
				if !c.want {
					break // the same again would be a return
				}
			}
			v, _ := f.Host(web1)
			if got := v.Host.Rival != nil; got != c.want || c.want && news != 1 {
				t.Errorf("rival = %+v, news %d times", v.Host.Rival, news)
			}
		})
	}
}
