package spec

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

// FuzzSelector holds a selector to being the same once it is written down, and
// every selector to selecting each host or not.
func FuzzSelector(f *testing.F) {
	for _, text := range []string{"all", "tag:web and not (web1 or db?)", "not not a* or b and c or (d or e)", "(all)", "((", "tag:", "a b", "and"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sel, err := ParseSelector(text)
		if err != nil {
			return
		}
		again, err := ParseSelector(sel.String())
		if err != nil {
			t.Fatalf("%q is written %q: %v", text, sel, err)
		}
		if diff := cmp.Diff(sel.node, again.node, cmp.AllowUnexported(node{})); diff != "" {
			t.Errorf("%q is written %q (-read +read again):\n%s", text, sel, diff)
		}
		complement, err := ParseSelector("not (" + text + ")")
		if err != nil {
			return // too long by now
		}
		for _, h := range hostNames(t) {
			if sel.Match(h, []string{"web"}) == complement.Match(h, []string{"web"}) {
				t.Errorf("%q and %q agree about %s", text, complement, h)
			}
		}
	})
}

// FuzzParse holds a spec that is accepted to what users of one rely on, and to
// surviving a state file.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		``, `{}`, `[]`, `{"hosts": {"web1": {"tags": ["web"], "hold": "x"}}, "sites": {"a": {"hosts": "tag:web", "caches": ["http://c"]}}}`,
		`{"rollout": {"waves": [{"name": "a", "hosts": "web*", "canary": {"size": "10%", "soak": "1m"}, "maxInFlight": 1, "budget": {"failed": 1}, "windows": {"allow": ["01:00-02:00"]}}, {"name": "b", "hosts": "all"}]}}`,
		`{"rollout": {"budget": {"silent": "20%"}, "windows": {"deny": ["Mon 00:00-24:00 Europe/Berlin"]}, "freeze": "why", "approval": true}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		hosts := hostNames(t)
		s, err := Parse(data, hosts)
		if err != nil {
			if wrong, ok := errors.AsType[*ParseError](err); !ok || len(wrong.Problems) == 0 {
				t.Fatalf("got %v, want problems", err)
			}
			return
		}
		taken := map[proto.HostName]bool{}
		for _, w := range s.Rollout.Waves {
			before := len(taken)
			for _, h := range hosts {
				if s.Match(w.Hosts, h) {
					taken[h] = true
				}
			}
			if len(taken) == before || w.Soak < 0 {
				t.Errorf("wave %q has no hosts of its own, or soaks for %s", w.Name, w.Soak)
			}
		}
		for h := range s.Hosts {
			if !slices.Contains(hosts, h) {
				t.Errorf("there is no host %s", h)
			}
		}
		if !opens(s.Rollout.Windows) {
			t.Errorf("the windows never open: %+v", s.Rollout.Windows)
		}
		kept, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var got Spec
		if err := json.Unmarshal(kept, &got); err != nil {
			t.Fatalf("%s: %v", kept, err)
		}
		if again, err := json.Marshal(got); err != nil || string(again) != string(kept) {
			t.Errorf("kept as %s, then as %s, %v", kept, again, err)
		}
	})
}

// opens reports whether ws are open in some minute of the weeks that Parse looks
// at.
func opens(ws Windows) bool {
	for _, month := range []time.Month{time.January, time.July} {
		for minute := range 7 * 24 * 60 {
			if ws.Open(time.Date(2026, month, 5, 0, minute, 0, 0, time.UTC)) {
				return true
			}
		}
	}
	return false
}
