package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/nix"
	"kedge/proto"
)

func TestEvaluateStartsOneProcessForAllHosts(t *testing.T) {
	f := &fakeNix{answers: map[string]string{"nixosConfigurations": hosts(t, "web1", "db1")}}
	got, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x")
	must(t, err)
	want := map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1"), host(t, "db1"): evaluation(t, "db1")}
	if diff := cmp.Diff(want, got.Hosts, comparers); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if len(got.Failed) > 0 || len(got.Names) > 0 {
		t.Errorf("failed: %v, names: %v, want none", got.Failed, got.Names)
	}
	if diff := cmp.Diff([]string{"nixosConfigurations"}, f.calls); diff != "" {
		t.Errorf("evaluations (-want +got):\n%s", diff)
	}
}

func TestAHostThatThrowsIsEvaluatedAloneForItsMessage(t *testing.T) {
	f := &fakeNix{
		answers: map[string]string{"nixosConfigurations": hosts(t, "web1", "!web2")},
		stderr:  map[string]string{attributeOf("web2"): "error:\n       … while evaluating\n\n       error: Failed assertions:\n       - no file system\n"},
	}
	got, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x")
	must(t, err)
	if _, ok := got.Hosts[host(t, "web1")]; !ok {
		t.Errorf("hosts: got %v, want web1", got.Hosts)
	}
	failed := got.Failed[host(t, "web2")]
	if failed == nil || failed.Reason != proto.ReasonEvalFailed {
		t.Fatalf("web2: got %v, want it to fail with %s", failed, proto.ReasonEvalFailed)
	}
	if got, want := failed.Error(), "… while evaluating\nerror: Failed assertions:\n- no file system"; got != want {
		t.Errorf("message: got %q, want %q", got, want)
	}
}

func TestOneHostCanFailTheEvaluationOfAll(t *testing.T) {
	f := &fakeNix{
		answers: map[string]string{
			"!nixosConfigurations": `["db1","web1","web2"]`,
			attributeOf("web1"):    one(t, "web1"),
			attributeOf("db1"):     one(t, "db1"),
		},
		stderr: map[string]string{
			"nixosConfigurations": "error: attribute 'x' missing",
			attributeOf("web2"):   "error: attribute 'x' missing",
		},
	}
	got, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x")
	must(t, err)
	if len(got.Hosts) != 2 || len(got.Failed) != 1 {
		t.Fatalf("got %d hosts and %d failures, want 2 and 1", len(got.Hosts), len(got.Failed))
	}
	if got, want := got.Failed[host(t, "web2")].Error(), "attribute 'x' missing"; got != want {
		t.Errorf("message: got %q, want %q", got, want)
	}
}

func TestANameThatIsNoHostNameIsLeftOut(t *testing.T) {
	for _, whole := range []bool{true, false} {
		f := &fakeNix{answers: map[string]string{
			"nixosConfigurations":  hosts(t, "Web.Two", "a b", "web1"),
			"!nixosConfigurations": `["Web.Two","a b","web1"]`,
			attributeOf("web1"):    one(t, "web1"),
		}}
		if !whole {
			delete(f.answers, "nixosConfigurations")
		}
		got, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x")
		must(t, err)
		if len(got.Hosts) != 1 || len(got.Names) != 2 {
			t.Fatalf("evaluated at once: %v: got %d hosts, %d bad names, want 1 and 2", whole, len(got.Hosts), len(got.Names))
		}
		if err := got.Names[0]; !errors.Is(err, proto.ErrInvalidHostName) || !strings.Contains(err.Error(), "Web.Two") {
			t.Errorf("bad name: got error %v, want ErrInvalidHostName with the name", err)
		}
		for _, call := range f.calls {
			if strings.Contains(call, "Two") {
				t.Errorf("evaluated %s", call)
			}
		}
	}
}

func TestAFlakeThatHasNothingToEvaluate(t *testing.T) {
	for name, row := range map[string]struct {
		answers map[string]string
		stderr  string
		missing string
		reason  proto.Reason
	}{
		"no nixosConfigurations": {
			nil, "error: flake 'path:/x' does not provide attribute 'packages.x86_64-linux.nixosConfigurations', 'nixosConfigurations'",
			"nixosConfigurations", proto.ReasonNoConfigurations,
		},
		"no hosts": {map[string]string{"nixosConfigurations": hosts(t)}, "", "nixosConfigurations", proto.ReasonNoConfigurations},
		"no flake.nix": {
			nil, "error: path '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-source/flake.nix' does not exist", "flake.nix", proto.ReasonNoFlake,
		},
		"a syntax error":            {nil, "error: syntax error, unexpected end of file", "", proto.ReasonEvalFailed},
		"something that is no host": {nil, "error: expected a set but found a list", "", proto.ReasonEvalFailed},
		"no room":                   {nil, "error: writing to file: No space left on device", "", proto.ReasonDiskFull},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeNix{answers: row.answers, stderr: map[string]string{"nixosConfigurations": row.stderr, "!nixosConfigurations": row.stderr}}
			_, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x")
			var flake *FlakeError
			if !errors.As(err, &flake) {
				t.Fatalf("got error %v, want a FlakeError", err)
			}
			if flake.Missing != row.missing {
				t.Errorf("missing: got %q, want %q", flake.Missing, row.missing)
			}
			if got := flake.Reason(); got != row.reason {
				t.Errorf("reason: got %q, want %q", got, row.reason)
			}
			if said := strings.TrimPrefix(row.stderr, "error: "); !strings.Contains(err.Error(), said) || !strings.Contains(err.Error(), row.missing) {
				t.Errorf("error %q does not say what Nix said and what is missing", err)
			}
		})
	}
}

// TestANixThatIsTooOldIsNamed: its own words help nobody.
func TestANixThatIsTooOldIsNamed(t *testing.T) {
	const said = "error: 'lastModified' attribute mismatch in input 'path:/x?lastModified=0', expected 1"
	f := &fakeNix{stderr: map[string]string{"nixosConfigurations": said, "!nixosConfigurations": said}}
	if _, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x"); err == nil || !strings.Contains(err.Error(), "must be 2.25 or newer") {
		t.Errorf("got error %v, want one with the version that is needed", err)
	}
}

func TestEvaluateEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	newer := errors.New("a newer revision came")
	cancel(newer)
	_, err := newBuilder(t, &fakeNix{}).Evaluate(ctx, "path:/x")
	if !errors.Is(err, newer) || errors.As(err, new(*FlakeError)) {
		t.Errorf("got error %v, want only %v", err, newer)
	}
}

// TestWhatWasStoppedIsNotExplainedByNix, which says the same of whatever stops it.
func TestWhatWasStoppedIsNotExplainedByNix(t *testing.T) {
	for name, row := range map[string]struct {
		code int
		err  error
		want string
	}{
		"it failed":            {1, &exec.ExitError{}, "interrupted by the user"},
		"it took too long":     {1, errors.New("no end within 1h0m0s"), "no end within 1h0m0s"},
		"it was killed":        {-1, &exec.ExitError{}, "nix eval: "},
		"it was not to be had": {-1, errors.New("no such file"), "nix eval: no such file"},
	} {
		err := fmt.Errorf("evaluate: %w", &nix.CommandError{Args: []string{"nix", "eval"}, ExitCode: row.code, Stderr: "error: interrupted by the user\n", Err: row.err})
		if got := explain(err).Error(); !strings.Contains(got, row.want) {
			t.Errorf("%s: got %q, want it to say %q", name, got, row.want)
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	now := time.Now()
	long := strings.Repeat("a trace that nobody reads\n", 1000) + "error: the cause"
	e := &HostError{Host: host(t, "web1"), Reason: proto.ReasonEvalFailed, Err: errors.New(long)}
	p := e.Problem(proto.Revision{}, now)
	if len(p.Message) > messageLimit+len("…") || !strings.HasSuffix(p.Message, "error: the cause") {
		t.Errorf("message: got %d bytes, want at most %d, with the cause at the end", len(p.Message), messageLimit)
	}
	if p.Reason != proto.ReasonEvalFailed || !p.Time.Equal(now) {
		t.Errorf("problem: got %v at %s", p.Reason, p.Time)
	}
}

// attributeOf returns the attribute path of a host.
func attributeOf(name string) string { return fmt.Sprintf("nixosConfigurations.%q", name) }

func one(t *testing.T, name string) string {
	e := evaluation(t, name)
	return fmt.Sprintf(`{"drv":%q,"out":%q}`, e.Derivation, e.Toplevel)
}

// hosts returns a survey of hosts, those with a "!" before their name being broken.
func hosts(t *testing.T, names ...string) string {
	s := survey{Hosts: map[string]*Evaluation{}}
	for _, n := range slices.Sorted(slices.Values(names)) {
		n, broken := strings.CutPrefix(n, "!")
		s.Names = append(s.Names, n)
		if _, err := proto.ParseHostName(n); err != nil {
			continue
		}
		s.Hosts[n] = nil
		if !broken {
			e := evaluation(t, n)
			s.Hosts[n] = &e
		}
	}
	data, err := json.Marshal(s)
	must(t, err)
	return string(data)
}

// comparers compare the values of proto that hide their fields.
var comparers = cmp.Options{
	cmp.Comparer(func(a, b proto.HostName) bool { return a == b }),
	cmp.Comparer(func(a, b proto.StorePath) bool { return a == b }),
}
