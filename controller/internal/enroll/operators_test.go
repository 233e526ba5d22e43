package enroll_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/enroll"
	"kedge/proto"
)

func TestATokenCountsUntilItIsRevokedOrExpires(t *testing.T) {
	path := filepath.Join(t.TempDir(), "operators.json")
	now := time.Date(2026, 11, 26, 21, 0, 0, 0, time.UTC)
	open := func() *enroll.Operators {
		t.Helper()
		o, err := enroll.OpenOperators(path)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := open()
	add := func(op proto.Operator) {
		t.Helper()
		op.Added, op.By = now, "admin"
		if _, _, err := o.Add(op); err != nil {
			t.Fatal(err)
		}
	}
	first, second, other := proto.NewOperatorToken(), proto.NewOperatorToken(), proto.NewOperatorToken()
	add(proto.Operator{Name: "eva", Role: proto.RoleOperator, PublicKey: "UEVA"})
	add(proto.Operator{Name: "eva", Role: proto.RoleViewer, TokenHash: first.Hash(), Expires: now.Add(time.Hour)})
	add(proto.Operator{Name: "adam", Role: proto.RoleAdmin, TokenHash: other.Hash()})

	is := func(what string, token proto.OperatorToken, at time.Time, name string, want error) {
		t.Helper()
		if op, err := o.Bearer(token, at); op.Name != name || !errors.Is(err, want) {
			t.Errorf("%s: the bearer is %q, %v; want %q, %v", what, op.Name, err, name, want)
		}
	}
	is("a token", first, now, "eva", nil)
	is("nobody's", second, now, "", enroll.ErrUnknownToken)
	is("no token at all", proto.OperatorToken{}, now, "", enroll.ErrUnknownToken)
	is("in its last second", first, now.Add(time.Hour-time.Nanosecond), "eva", nil)
	is("expired", first, now.Add(time.Hour), "eva", enroll.ErrTokenExpired)
	is("for ever", other, now.AddDate(100, 0, 0), "adam", nil)

	add(proto.Operator{Name: "eva", Role: proto.RoleAdmin, TokenHash: second.Hash()})
	is("replaced", first, now, "eva", enroll.ErrTokenRevoked)
	is("in its place", second, now, "eva", nil)
	if got := o.Revoked(now); len(got) != 0 {
		t.Errorf("NATS is told of %q, want nobody: the key of eva counts, and tokens are no keys", got)
	}
	if _, _, err := o.Add(proto.Operator{Name: "eve", TokenHash: other.Hash()}); !errors.Is(err, enroll.ErrTaken) {
		t.Errorf("the token of adam for eve: error = %v, want %v", err, enroll.ErrTaken)
	}

	o = open()
	is("after a restart", second, now, "eva", nil)
	revoked, err := o.Revoke("eva", now, "admin")
	if err != nil || len(revoked) != 2 || revoked[0].PublicKey != "UEVA" || revoked[1].TokenHash != second.Hash() {
		t.Errorf("revoked %+v, %v; want the key and the token", revoked, err)
	}
	o = open()
	is("revoked", second, now, "eva", enroll.ErrTokenRevoked)
	is("of somebody else", other, now, "adam", nil)
	if got := o.Revoked(now); !slices.Equal(got, []string{"UEVA"}) {
		t.Errorf("NATS is told of %q, want the key of eva", got)
	}

	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []proto.OperatorToken{first, second, other} {
		if strings.Contains(string(b), strings.TrimPrefix(token.Reveal(), "kedge_")) || !strings.Contains(string(b), token.Hash()) {
			t.Errorf("the book has %s, want hashes alone", b)
		}
	}
}

func TestAKeyCountsUntilItIsRevokedOrExpires(t *testing.T) {
	o, err := enroll.OpenOperators(filepath.Join(t.TempDir(), "operators.json"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 26, 21, 0, 0, 0, time.UTC)
	for _, op := range []proto.Operator{
		{Name: "eva", PublicKey: "UOLD"},
		{Name: "eva", PublicKey: "UEVA", Expires: now.Add(time.Hour)},
		{Name: "eva", TokenHash: proto.NewOperatorToken().Hash()},
	} {
		op.Added, op.By = now, "admin"
		if _, _, err := o.Add(op); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		key  string
		at   time.Time
		want error
	}{
		{"UEVA", now, nil},
		{"UEVA", now.Add(time.Hour), enroll.ErrExpired},
		{"UOLD", now, enroll.ErrRevoked},
		{"UEVE", now, enroll.ErrUnknownOperator},
		{"", now, enroll.ErrUnknownOperator},
	} {
		if op, err := o.Holder(tt.key, tt.at); !errors.Is(err, tt.want) || err == nil && op.PublicKey != tt.key {
			t.Errorf("%q at %s: got %+v, %v; want %v", tt.key, tt.at, op, err, tt.want)
		}
	}
}

func TestWhoIsAddedAgainStaysAsHeWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "operators.json")
	o, err := enroll.OpenOperators(path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 26, 21, 0, 0, 0, time.UTC)
	token := proto.NewOperatorToken().Hash()
	key := proto.Operator{Name: "eva", Role: proto.RoleViewer, PublicKey: "UEVA", Added: now, By: "ada", Expires: now.Add(time.Hour)}
	bearer := proto.Operator{Name: "eva", Role: proto.RoleAdmin, TokenHash: token, Added: now, By: "ada"}
	for _, first := range []bool{true, false} {
		for _, op := range []proto.Operator{key, bearer} {
			want := op
			if !first {
				op.Added, op.By, op.Expires = now.Add(time.Minute), "bob", now.Add(time.Minute+time.Hour)
			}
			if there, added, err := o.Add(op); err != nil || added != first || there != want {
				t.Errorf("%s: there is %+v, added %t, %v; want %+v, added %t", op.Credential(), there, added, err, want, first)
			}
		}
		if o, err = enroll.OpenOperators(path); err != nil {
			t.Fatal(err)
		}
		if got := o.List(); !slices.Equal(got, []proto.Operator{key, bearer}) {
			t.Errorf("in the list are %+v", got)
		}
	}

	if _, _, err := o.Add(proto.Operator{Name: "adam", Role: proto.RoleViewer, PublicKey: "UOLD", Added: now}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.Add(proto.Operator{Name: "adam", Role: proto.RoleViewer, PublicKey: "UNEW", Added: now}); err != nil {
		t.Fatal(err)
	}
	before := o.List()
	for name, tt := range map[string]struct {
		op   proto.Operator
		want error
	}{
		"of somebody else":    {proto.Operator{Name: "adam", Role: proto.RoleViewer, PublicKey: "UEVA", Added: now}, enroll.ErrTaken},
		"with another role":   {proto.Operator{Name: "eva", Role: proto.RoleAdmin, PublicKey: "UEVA", Added: now}, enroll.ErrOtherRole},
		"that was replaced":   {proto.Operator{Name: "adam", Role: proto.RoleViewer, PublicKey: "UOLD", Added: now}, enroll.ErrRevoked},
		"that expired":        {proto.Operator{Name: "eva", Role: proto.RoleViewer, PublicKey: "UEVA", Added: now.Add(time.Hour)}, enroll.ErrExpired},
		"a token of somebody": {proto.Operator{Name: "adam", Role: proto.RoleAdmin, TokenHash: token, Added: now}, enroll.ErrTaken},
	} {
		if _, _, err := o.Add(tt.op); !errors.Is(err, tt.want) {
			t.Errorf("%s: error = %v, want %v", name, err, tt.want)
		}
	}
	if got := o.List(); !slices.Equal(got, before) {
		t.Errorf("who was refused changed the list to %+v", got)
	}
}
