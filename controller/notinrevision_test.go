package controller_test

import (
	"testing"

	"kedge/controller/controllertest"
	"kedge/proto"
)

// TestHostsThatAreNotInTheRevisionSaySo: hosts that were dropped, and hosts that
// were never in it.
func TestHostsThatAreNotInTheRevisionSaySo(t *testing.T) {
	c := start(t)
	web1, web2 := hostName(t, "web1"), hostName(t, "web2")
	one, two := toplevel(t, "one"), toplevel(t, "two")
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one, web2: one}})
	c.await(t, "serial 1", wants(web2, 1, one))

	dropping := c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: two}})
	r := c.await(t, "serial 2", wants(web1, 2, two))
	for _, v := range r.Hosts {
		switch p := v.Problem; {
		case v.Host == web1 && p != nil:
			t.Errorf("web1: problem = %+v, want none", *p)
		case v.Host == web2 && (p == nil || p.Reason != proto.ReasonNotInRevision || p.Revision != dropping):
			t.Errorf("web2: problem = %+v, want %q of revision %s", p, proto.ReasonNotInRevision, dropping.Short())
		case v.Host == web2 && (v.Want.Serial != 1 || v.Want.Toplevel != one):
			t.Errorf("web2: %+v is assigned, want serial 1 as before", v.Want)
		}
	}
	if s := r.Sources[0]; s.Error != "" {
		t.Errorf("source error = %q: whoever dropped a host meant to", s.Error)
	}

	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: two, web2: one}})
	r = c.await(t, "web2 without a problem", func(r proto.FleetReply) bool {
		return r.Sources[0].IsBuilt() && r.Sources[0].Built != dropping
	})
	for _, v := range r.Hosts {
		if v.Problem != nil {
			t.Errorf("%s: problem = %+v after it came back", v.Host, *v.Problem)
		}
	}
}
