package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"kedge/internal/nix"
	"kedge/proto"
)

// manyHosts are more than the tests' builders evaluate in one process.
func manyHosts() []string { return []string{"db1", "db2", "web1", "web2", "web3"} }

// answersOf returns the answers about hosts of which there are too many to be
// evaluated at once.
func answersOf(t *testing.T, names ...string) map[string]string {
	answers := map[string]string{"nixosConfigurations": `{"names":["` + strings.Join(names, `","`) + `"],"hosts":{}}`}
	for _, n := range names {
		answers[attributeOf(n)] = one(t, n)
	}
	return answers
}

func TestManyHostsAreEvaluatedAFewAtATimeInBoundedMemory(t *testing.T) {
	f := &fakeNix{answers: answersOf(t, manyHosts()...)}
	b := newBuilder(t, f)
	got, err := b.Evaluate(t.Context(), "path:/x")
	must(t, err)
	if len(got.Hosts) != 5 || len(got.Failed) != 0 || got.Hosts[host(t, "web3")] != evaluation(t, "web3") {
		t.Errorf("evaluated: %v, failed: %v; want all", got.Hosts, got.Failed)
	}
	slices.Sort(f.calls)
	want := []string{"nixosConfigurations", "nixosConfigurations db1 db2", "nixosConfigurations web1 web2", "nixosConfigurations web3"}
	if diff := cmp.Diff(want, f.calls); diff != "" {
		t.Errorf("evaluations (-want +got):\n%s", diff)
	}
	if f.memory != b.o.Memory {
		t.Errorf("memory: got %d, want %d", f.memory, b.o.Memory)
	}
}

func TestAHostThatNeedsTooMuchMemoryFailsAlone(t *testing.T) {
	f := &fakeNix{answers: answersOf(t, manyHosts()...), fatal: map[string]bool{"db2": true}}
	delete(f.answers, attributeOf("db2"))
	f.stderr = map[string]string{attributeOf("db2"): "GC Warning: Out of Memory! Heap size: 1023 MiB. Returning NULL!\nerror: out of memory\n"}
	got, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x")
	must(t, err)
	if len(got.Hosts) != 4 {
		t.Errorf("evaluated: %v, want all but db2", got.Hosts)
	}
	failed := got.Failed[host(t, "db2")]
	if failed == nil || failed.Reason != proto.ReasonEvalFailed || !strings.Contains(failed.Error(), "1024 MiB (build.eval_memory)") {
		t.Errorf("db2: %v, want it to say which memory it lacks", failed)
	}
}

func TestWhereThereIsRoomForOneHostTheyAreEvaluatedOneByOne(t *testing.T) {
	f := &fakeNix{answers: answersOf(t, "db1", "web1")}
	b := newBuilder(t, f)
	b.o.Memory = hostMemory
	got, err := b.Evaluate(t.Context(), "path:/x")
	must(t, err)
	slices.Sort(f.calls)
	want := []string{"nixosConfigurations", attributeOf("db1"), attributeOf("web1")}
	if diff := cmp.Diff(want, f.calls); diff != "" || len(got.Hosts) != 2 {
		t.Errorf("evaluated %v; evaluations (-want +got):\n%s", got.Hosts, diff)
	}
}

func TestManyHostsAreEvaluatedByNixEvalJobsWhereThereIsOne(t *testing.T) {
	f := &fakeNix{answers: answersOf(t, manyHosts()...)}
	f.jobs = func(_ context.Context, each func(nix.Job)) error {
		for _, n := range manyHosts() {
			if n == "web2" {
				each(nix.Job{Name: n, Error: "error:\n       … while evaluating\n\n       error: no file system"})
				continue
			}
			e := evaluation(t, n)
			each(nix.Job{Name: n, Derivation: e.Derivation, Out: e.Toplevel})
		}
		return nil
	}
	got, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x")
	must(t, err)
	if len(got.Hosts) != 4 || got.Hosts[host(t, "db1")] != evaluation(t, "db1") {
		t.Errorf("evaluated: %v, want all but web2", got.Hosts)
	}
	if got, want := fmt.Sprint(got.Failed[host(t, "web2")]), "… while evaluating\nerror: no file system"; got != want {
		t.Errorf("web2: got %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"nixosConfigurations", "jobs"}, f.calls); diff != "" {
		t.Errorf("evaluations (-want +got):\n%s", diff)
	}
	if f.evalJobs.Workers != 2 || f.evalJobs.Memory != 2*hostMemory || !strings.Contains(f.evalJobs.Select, `"db1" "db2"`) {
		t.Errorf("nix-eval-jobs was asked for %+v", f.evalJobs)
	}
}

func TestWhatNixEvalJobsDoesNotSayIsFoundOutWithoutIt(t *testing.T) {
	f := &fakeNix{answers: answersOf(t, manyHosts()...)}
	f.jobs = func(_ context.Context, each func(nix.Job)) error {
		e := evaluation(t, "web1")
		each(nix.Job{Name: "web1", Derivation: e.Derivation, Out: e.Toplevel})
		return errors.New("a worker was killed")
	}
	got, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x")
	must(t, err)
	if len(got.Hosts) != 5 || len(got.Failed) != 0 {
		t.Errorf("evaluated: %v, failed: %v; want all", got.Hosts, got.Failed)
	}
	if slices.ContainsFunc(f.calls, func(call string) bool { return strings.Contains(call, "web1") }) {
		t.Errorf("calls: %q: web1 was known", f.calls)
	}
}

func TestNixEvalJobsWithoutAnEndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeNix{answers: answersOf(t, manyHosts()...)}
		f.jobs = func(ctx context.Context, _ func(nix.Job)) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		got, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x")
		must(t, err)
		if len(got.Hosts) != 5 {
			t.Errorf("evaluated: %v, want all", got.Hosts)
		}
	})
}

// A countingNix notes how many evaluate at once.
type countingNix struct {
	*fakeNix
	at, most atomic.Int64
}

func (n *countingNix) EvalInto(ctx context.Context, o nix.EvalOptions, v any) error {
	now := n.at.Add(1)
	defer n.at.Add(-1)
	time.Sleep(time.Second) // until everybody else has come as far as can be
	if now > n.most.Load() {
		n.most.Store(now)
	}
	return n.fakeNix.EvalInto(ctx, o, v)
}

// TestChannelsShareTheTurnsOfEvaluations: what all of them use at once is bounded.
func TestChannelsShareTheTurnsOfEvaluations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &countingNix{fakeNix: &fakeNix{answers: answersOf(t, manyHosts()...)}}
		b := newBuilder(t, f.fakeNix)
		b.o.Nix = f
		var channels errgroup.Group
		for i := range 4 {
			channels.Go(func() error {
				_, err := b.Evaluate(t.Context(), fmt.Sprint("path:/", i))
				return err
			})
		}
		must(t, channels.Wait())
		if most := f.most.Load(); most != int64(b.o.Workers) {
			t.Errorf("%d evaluations at once, want %d", most, b.o.Workers)
		}
		must(t, b.turns.Acquire(t.Context(), int64(b.o.Workers)))
		superseded := errors.New("superseded")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(superseded) })
		if _, err := b.Evaluate(ctx, "path:/x"); !errors.Is(err, superseded) {
			t.Errorf("who waits for a turn in vain: error = %v, want %v", err, superseded)
		}
	})
}
