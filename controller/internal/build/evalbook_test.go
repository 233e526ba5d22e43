package build

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const pinnedRef = "git+file:///srv/fleet?rev=0123456789012345678901234567890123456789&shallow=1"

// TestARevisionIsEvaluatedOnce restarts the controller in between.
func TestARevisionIsEvaluatedOnce(t *testing.T) {
	f := &fakeNix{answers: map[string]string{"nixosConfigurations": hosts(t, "Web.Two", "web1", "db1")}}
	b := newBuilder(t, f)
	first, err := b.Evaluate(t.Context(), pinnedRef)
	must(t, err)
	instantiated(t, b, "web1", "db1")
	for ref, want := range map[string]int{pinnedRef: 0, pinnedRef + "&dir=other": 1, "path:/x": 1} {
		f.calls = nil
		again, err := New(b.o)
		must(t, err)
		second, err := again.Evaluate(t.Context(), ref)
		must(t, err)
		if diff := cmp.Diff(first.Hosts, second.Hosts, comparers); diff != "" || len(second.Names) != 1 {
			t.Errorf("%s: bad names %v, hosts (-first +second):\n%s", ref, second.Names, diff)
		}
		if len(f.calls) != want {
			t.Errorf("%s: evaluations: got %q, want %d", ref, f.calls, want)
		}
	}
}

func TestOnlyHostsThatFailedAreEvaluatedAgain(t *testing.T) {
	f := &fakeNix{
		answers: map[string]string{"nixosConfigurations": hosts(t, "web1", "!web2")},
		stderr:  map[string]string{attributeOf("web2"): "error: no such input"},
	}
	b := newBuilder(t, f)
	_, err := b.Evaluate(t.Context(), pinnedRef)
	must(t, err)
	instantiated(t, b, "web1")
	f.calls, f.answers = nil, map[string]string{attributeOf("web2"): one(t, "web2")}
	for range 2 {
		got, err := b.Evaluate(t.Context(), pinnedRef)
		must(t, err)
		if len(got.Hosts) != 2 || len(got.Failed) != 0 {
			t.Errorf("evaluated: %v, failed: %v; want both", got.Hosts, got.Failed)
		}
		instantiated(t, b, "web2")
	}
	if diff := cmp.Diff([]string{attributeOf("web2")}, f.calls); diff != "" {
		t.Errorf("evaluations (-want +got):\n%s", diff)
	}
}

func TestWhatWasCollectedIsEvaluatedAnew(t *testing.T) {
	f := &fakeNix{answers: map[string]string{"nixosConfigurations": hosts(t, "web1", "db1")}}
	b := newBuilder(t, f)
	_, err := b.Evaluate(t.Context(), pinnedRef)
	must(t, err)
	instantiated(t, b, "web1") // and not db1
	f.calls = nil
	_, err = b.Evaluate(t.Context(), pinnedRef)
	must(t, err)
	if diff := cmp.Diff([]string{"nixosConfigurations"}, f.calls); diff != "" {
		t.Errorf("evaluations (-want +got):\n%s", diff)
	}
}

func TestADamagedMemoryCostsAnEvaluationAndNothingElse(t *testing.T) {
	f := &fakeNix{answers: map[string]string{"nixosConfigurations": hosts(t, "web1")}}
	b := newBuilder(t, f)
	for range 2 {
		got, err := b.Evaluate(t.Context(), pinnedRef)
		must(t, err)
		if len(got.Hosts) != 1 {
			t.Errorf("evaluated: %v, want web1", got.Hosts)
		}
		must(t, os.WriteFile(b.book.file(pinnedRef).Path, []byte("torn"), 0o600))
	}
}

func TestTheMemoryOfEvaluationsIsBounded(t *testing.T) {
	f := &fakeNix{answers: map[string]string{"nixosConfigurations": hosts(t, "web1")}}
	b := newBuilder(t, f)
	instantiated(t, b, "web1")
	b.book.keep = 2
	for place, dir := range []string{"a", "b", "a", "c"} {
		_, err := b.Evaluate(t.Context(), pinnedRef+"&dir="+dir)
		must(t, err)
		used := time.Now().Add(time.Duration(place-10) * time.Minute)
		must(t, os.Chtimes(b.book.file(pinnedRef+"&dir="+dir).Path, used, used))
	}
	for dir, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if _, kept := b.book.recall(t.Context(), pinnedRef+"&dir="+dir); kept != want {
			t.Errorf("%s: kept = %v, want %v", dir, kept, want)
		}
	}
}

// instantiated has the derivations of hosts be in the store.
func instantiated(t *testing.T, b *Builder, names ...string) {
	t.Helper()
	for _, n := range names {
		e := evaluation(t, n).Derivation
		must(t, os.WriteFile(filepath.Join(b.o.Store, e.Base()), nil, 0o644))
	}
}
