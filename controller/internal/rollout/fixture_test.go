package rollout_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
)

// start is a Monday.
var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

var comparers = cmp.Options{
	cmp.Comparer(func(a, b proto.HostName) bool { return a == b }),
	cmp.Comparer(func(a, b proto.StorePath) bool { return a == b }),
	cmp.Comparer(func(a, b proto.Revision) bool { return a == b }),
	cmp.Comparer(func(a, b proto.Digest) bool { return a == b }),
	cmp.Comparer(func(a, b spec.Amount) bool { return a == b }),
}

func host(t testing.TB, name string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// system returns a toplevel of a host.
func system(t testing.TB, h proto.HostName, what string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-" + h.String() + "-" + what)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func revision(t testing.TB, digit string) proto.Revision {
	t.Helper()
	const digits = 40
	text := ""
	for range digits {
		text += digit
	}
	r, err := proto.ParseRevision(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// parsed returns the spec in text, for hosts.
func parsed(t testing.TB, text string, hosts ...proto.HostName) spec.Spec {
	t.Helper()
	s, err := spec.Parse([]byte(text), hosts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func planned(t testing.TB, d rollout.Draft) rollout.Rollout {
	t.Helper()
	r, err := rollout.Plan(d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
