package layers

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	pass := func(n int) func(context.Context, *Report) error {
		return func(_ context.Context, r *Report) error {
			for range n {
				r.Pass()
			}
			return nil
		}
	}
	skip := func(_ context.Context, r *Report) error {
		r.Pass()
		r.Skip("TestNeedsNix", "nix is not on PATH")
		return nil
	}
	elsewhere := func(_ context.Context, r *Report) error {
		r.Pass()
		r.Skip("TestNeedsNixpkgs", "x_test.go:1: "+Elsewhere+"no nixpkgs")
		return nil
	}
	for _, c := range []struct {
		name   string
		run    func(context.Context, *Report) error
		strict bool
		last   string
		said   string
		ok     bool
	}{
		{"is content when all pass", pass(2), true, "3 passed, 0 failed, 0 skipped", "", true},
		{"fails with a failed test", func(_ context.Context, r *Report) error { r.Fail("TestX", "got 1, want 2"); return nil }, true, "1 passed, 1 failed, 0 skipped", "got 1, want 2", false},
		{"fails when a layer could not run", func(context.Context, *Report) error { return errors.New("no Nix here") }, true, "1 passed, 1 failed, 0 skipped", "tried failed: no Nix here", false},
		{"fails when a layer ran in part", func(_ context.Context, r *Report) error { r.Pass(); return errors.New("stopped early") }, true, "2 passed, 1 failed, 0 skipped", "tried failed: stopped early", false},
		{"fails when a layer had no tests", pass(0), true, "1 passed, 1 failed, 0 skipped", "tried failed: had no tests", false},
		{"fails with a skipped test where it is strict", skip, true, "2 passed, 1 failed, 1 skipped", "skipped 1 tests: TestNeedsNix", false},
		{"counts a test that cannot run here, and goes on", elsewhere, true, "2 passed, 0 failed, 1 skipped", "no nixpkgs", true},
		{"tells of a skipped test where it is not", skip, false, "2 passed, 0 failed, 1 skipped", "nix is not on PATH", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			err := Run(t.Context(), Options{Out: &out, Strict: c.strict, Layers: []Layer{
				{Name: "tried", Limit: time.Minute, Run: c.run},
				{Name: "after", Limit: time.Minute, Run: pass(1)}, // runs whatever became of the first
			}})
			if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrFailed) {
				t.Errorf("got error %v", err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != c.last {
				t.Errorf("last line: got %q, want %q", got, c.last)
			}
			if !strings.Contains(out.String(), c.said) {
				t.Errorf("%q is not in the output:\n%s", c.said, &out)
			}
		})
	}
}

func TestRunEndsALayerThatTakesTooLong(t *testing.T) {
	var out bytes.Buffer
	err := Run(t.Context(), Options{Out: &out, Layers: []Layer{{
		Name: "slow", Limit: time.Nanosecond, Run: func(ctx context.Context, _ *Report) error {
			<-ctx.Done()
			return context.Cause(ctx)
		},
	}}})
	if !errors.Is(err, ErrFailed) || !strings.Contains(out.String(), "slow failed: took more than 1ns") {
		t.Errorf("got error %v, output\n%s", err, &out)
	}
}

func TestRunWithoutALayerFails(t *testing.T) {
	if err := Run(t.Context(), Options{Out: &bytes.Buffer{}}); !errors.Is(err, ErrFailed) {
		t.Errorf("got error %v, want %v", err, ErrFailed)
	}
}

func TestSelect(t *testing.T) {
	for _, c := range []struct {
		names string
		want  string
	}{
		{"", "lint unit fuzz integration e2e"},
		{"e2e unit", "unit e2e"},
		{"unit unit", "unit"},
		{"performance", "error"},
	} {
		got := "error"
		if selected, err := Select("", strings.Fields(c.names)...); err == nil {
			var names []string
			for _, l := range selected {
				names = append(names, l.Name)
			}
			got = strings.Join(names, " ")
		}
		if got != c.want {
			t.Errorf("select %q: got %q, want %q", c.names, got, c.want)
		}
	}
}
