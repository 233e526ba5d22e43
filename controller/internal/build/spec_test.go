package build

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

func TestEvaluateReadsWhatTheFlakeSaysAboutRollouts(t *testing.T) {
	const says = `{"hosts":{"web1":{"tags":["web"]}},"rollout":{"waves":[{"name":"web","hosts":"tag:web"}]}}`
	for name, c := range map[string]struct {
		answers map[string]string
		calls   []string
	}{
		"in the process that evaluates the hosts": {
			map[string]string{"nixosConfigurations": hosts(t, "web1", "db1"), "kedge": says},
			[]string{"nixosConfigurations"},
		},
		"by itself if a host fails that": {
			map[string]string{"!nixosConfigurations": `["web1"]`, attributeOf("web1"): one(t, "web1"), "kedge": says},
			[]string{"nixosConfigurations", "!nixosConfigurations", "kedge", attributeOf("web1")},
		},
		"although a host throws": {
			map[string]string{"nixosConfigurations": hosts(t, "!web1"), attributeOf("web1"): one(t, "web1"), "kedge": says},
			[]string{"nixosConfigurations", attributeOf("web1")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeNix{answers: c.answers}
			got, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x")
			must(t, err)
			waves := got.Spec.Rollout.Waves
			if len(waves) != 1 || waves[0].Name != "web" || !got.Spec.Match(waves[0].Hosts, host(t, "web1")) {
				t.Errorf("waves: got %+v, want web with web1", waves)
			}
			if diff := cmp.Diff(c.calls, f.calls); diff != "" {
				t.Errorf("evaluations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatAFlakeSaysAboutRolloutsIsRefusedWhole(t *testing.T) {
	for name, c := range map[string]struct {
		says, stderr, want string
	}{
		"it throws":       {"", "error: oops", "oops"},
		"it is wrong":     {`{"rolout":{}}`, "", `kedge.rolout: there is no such attribute; did you mean "rollout"?`},
		"it is null":      {`null`, "", "kedge: must be an attribute set, got null"},
		"a host is wrong": {`{"hosts":{"web9":{}}}`, "", "kedge.hosts.web9: nixosConfigurations has no such host"},
	} {
		for _, whole := range []bool{true, false} {
			f := &fakeNix{
				answers: map[string]string{"!nixosConfigurations": `["web1"]`, "nixosConfigurations": hosts(t, "web1"), attributeOf("web1"): one(t, "web1"), "kedge": c.says},
				stderr:  map[string]string{"kedge": c.stderr},
			}
			if !whole {
				delete(f.answers, "nixosConfigurations")
			}
			_, err := newBuilder(t, f).Evaluate(t.Context(), "path:/x")
			var wrong *SpecError
			if !errors.As(err, &wrong) || wrong.Reason() != proto.ReasonBadSpec || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, evaluated at once: %t: got error %v, want a SpecError with %q", name, whole, err, c.want)
			}
		}
	}
}

func TestWhatWasSaidAboutRolloutsIsRemembered(t *testing.T) {
	f := &fakeNix{answers: map[string]string{"nixosConfigurations": hosts(t, "web1"), "kedge": `{"rollout":{"freeze":"the fair"}}`}}
	b := newBuilder(t, f)
	b.book.dir, b.book.store, b.book.keep = t.TempDir(), f.store, 1
	must(t, os.WriteFile(filepath.Join(f.store, drv(t, "web1").Base()), nil, 0o644))
	for range 2 {
		got, err := b.Evaluate(t.Context(), "git+file:///x?rev=1")
		must(t, err)
		if got.Spec.Rollout.Freeze != "the fair" {
			t.Errorf("got %+v, want the freeze", got.Spec.Rollout)
		}
	}
	if len(f.calls) != 1 {
		t.Errorf("evaluations: got %q, want one", f.calls)
	}
}
