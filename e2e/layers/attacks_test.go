package layers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAttackRows(t *testing.T) {
	const document = "# Security\n\n| stolen | shown by |\n|---|---|\n| a key | `TestKey` |\n\n" +
		"| attack | what becomes of it | tests |\n|---|---|---|\n" +
		"| rollback | `rollback` | `TestOld`, `b.TestOlder` |\n| endless data | `oversized` | `FuzzParse` |\n\nAfter `TestAfter` | it.\n"
	want := []attackRow{
		{"rollback", [][2]string{{"", "TestOld"}, {"b", "TestOlder"}}},
		{"endless data", [][2]string{{"", "FuzzParse"}}},
	}
	got := attackRows(document)
	if d := cmp.Diff(want, got, cmp.AllowUnexported(attackRow{})); d != "" {
		t.Errorf("rows (-want +got):\n%s", d)
	}

	e := newTestEvents(&Report{})
	for _, ev := range []testEvent{
		{Action: "pass", Package: "kedge/a", Test: "TestOlder"},
		{Action: "fail", Package: "kedge/x/b", Test: "TestOlder"},
		{Action: "pass", Package: "kedge/e2e/adapters", Test: "TestInAHost/adapters/b/TestOld"},
	} {
		e.report.out = t.Output()
		e.event(ev)
	}
	if d := cmp.Diff([]string{"pass", "fail"}, e.endsOf(want[0].tests)); d != "" {
		t.Errorf("ends (-want +got):\n%s", d)
	}
	if ends := e.endsOf(want[1].tests); len(ends) > 0 {
		t.Errorf("what did not run ended as %q", ends)
	}
}

func TestFindTests(t *testing.T) {
	inModule(t, map[string]string{
		"go.mod":           "module kedge\n\ngo 1.26\n",
		"a/a_test.go":      "package a\n\nfunc TestOne() {}\n\nfunc TestTwo() {}\n\nfunc FuzzThree() {}\n",
		"a/a_host_test.go": "//go:build host\n\npackage a\n\nfunc TestThere() {}\n",
		"b/b_e2e_test.go":  "//go:build e2e\n\npackage b\n\nfunc TestOne() {}\n\nfunc TestFour() {}\n",
	})
	here, there, err := findTests(t.Context(), []attackRow{
		{"one", [][2]string{{"a", "TestOne"}, {"", "FuzzThree"}}},
		{"two", [][2]string{{"", "TestFour"}, {"", "TestThere"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string][]string{"kedge/a": {"TestOne", "FuzzThree"}, "kedge/b": {"TestFour"}}, here); d != "" {
		t.Errorf("here (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string][]string{"kedge/a": {"TestThere"}}, there); d != "" {
		t.Errorf("there (-want +got):\n%s", d)
	}
}
