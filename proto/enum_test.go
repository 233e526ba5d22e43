package proto_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"kedge/proto"
)

func TestVerdictOfEveryPhase(t *testing.T) {
	want := map[proto.Phase]proto.Verdict{
		proto.PhaseNone:           proto.VerdictNone,
		proto.PhaseAccepted:       proto.VerdictPending,
		proto.PhaseFetched:        proto.VerdictPending,
		proto.PhaseActivating:     proto.VerdictPending,
		proto.PhaseProbation:      proto.VerdictPending,
		proto.PhaseCommitting:     proto.VerdictPending,
		proto.PhaseCommitted:      proto.VerdictSucceeded,
		proto.PhaseStaging:        proto.VerdictPending,
		proto.PhaseStaged:         proto.VerdictPending,
		proto.PhaseArmed:          proto.VerdictPending,
		proto.PhaseTried:          proto.VerdictTried,
		proto.PhaseRollingBack:    proto.VerdictPending,
		proto.PhaseRolledBack:     proto.VerdictRolledBack,
		proto.PhaseInconclusive:   proto.VerdictInconclusive,
		proto.PhaseRollbackFailed: proto.VerdictRollbackFailed,
		proto.PhaseFailed:         proto.VerdictFailed,
		proto.PhaseRefused:        proto.VerdictRefused,
		proto.PhaseSuperseded:     proto.VerdictSuperseded,
		"unheard-of":              proto.VerdictNone,
	}
	for _, p := range append(proto.Phases(), proto.PhaseNone, "unheard-of") {
		v, ok := want[p]
		if !ok {
			t.Errorf("phase %q is missing in this test", p)
		}
		if got := p.Verdict(); got != v {
			t.Errorf("verdict of %q: got %q, want %q", p, got, v)
		}
		if got, terminal := p.Terminal(), v != proto.VerdictNone && v != proto.VerdictPending; got != terminal {
			t.Errorf("%q is terminal: got %t, want %t", p, got, terminal)
		}
	}
}

// Silence and "not yet" are neither good nor bad; of what is decided only
// success is good, and what was only to be tried.
func TestEveryDecidedVerdictButSuccessIsBad(t *testing.T) {
	for _, v := range append(proto.Verdicts(), proto.VerdictNone) {
		want := !slices.Contains([]proto.Verdict{proto.VerdictNone, proto.VerdictPending, proto.VerdictSucceeded, proto.VerdictTried}, v)
		if got := v.Bad(); got != want {
			t.Errorf("%q is bad: got %t, want %t", v, got, want)
		}
	}
}

func TestEnumeratedValues(t *testing.T) {
	type values struct {
		Phase   proto.Phase
		Verdict proto.Verdict
		Mode    proto.Mode
		Status  proto.ConditionStatus
		Reason  proto.Reason
		Type    proto.ConditionType
	}
	for _, c := range []struct {
		name, text, refusal string // refusal "" is none
	}{
		{"accepts known ones", `{"Phase":"committed","Verdict":"succeeded","Mode":"boot","Status":"False"}`, ""},
		{"accepts empty ones", `{"Phase":"","Verdict":"","Mode":""}`, ""},
		{"keeps an unknown reason", `{"Reason":"moon-phase"}`, ""},
		{"keeps an unknown condition", `{"Type":"Happy"}`, ""},
		{"refuses an unknown phase", `{"Phase":"dancing"}`, `unknown phase "dancing"`},
		{"refuses a phase in other letters", `{"Phase":"Committed"}`, `unknown phase "Committed"`},
		{"refuses an unknown verdict", `{"Verdict":"great"}`, `unknown verdict "great"`},
		{"refuses an unknown mode", `{"Mode":"kexec"}`, `unknown mode "kexec"`},
		{"refuses an unknown condition status", `{"Status":"Maybe"}`, `unknown condition status "Maybe"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v values
			err := json.Unmarshal([]byte(c.text), &v)
			if (err == nil) != (c.refusal == "") || err != nil && !strings.Contains(err.Error(), c.refusal) {
				t.Errorf("decode %s: got %+v, error %v, want %q", c.text, v, err, c.refusal)
			}
		})
	}
	for _, p := range append(proto.Phases(), proto.PhaseNone) {
		var got proto.Phase
		if err := got.UnmarshalText([]byte(p)); err != nil || got != p {
			t.Errorf("decode phase %q: got %q, %v", p, got, err)
		}
	}
	for _, v := range append(proto.Verdicts(), proto.VerdictNone) {
		var got proto.Verdict
		if err := got.UnmarshalText([]byte(v)); err != nil || got != v {
			t.Errorf("decode verdict %q: got %q, %v", v, got, err)
		}
	}
	var m proto.Mode
	if err := m.UnmarshalText(nil); err != nil || m != proto.ModeSwitch {
		t.Errorf("decode no mode: got %q, %v, want %q", m, err, proto.ModeSwitch)
	}
}
