package proto_test

import (
	"testing"

	"kedge/proto"
)

// TestRuns: a specialisation of what is proven is what is proven.
func TestRuns(t *testing.T) {
	base, special := toplevel(t), parsed(t, proto.ParseStorePath, otherText)
	ready := []proto.Condition{{Type: proto.ConditionReady, Status: proto.StatusTrue}}
	for _, tt := range []struct {
		name    string
		systems proto.Systems
		want    bool
	}{
		{"the system itself", proto.Systems{Current: base, Profile: base, Proven: base}, true},
		{"a specialisation of it", proto.Systems{Current: special, Profile: base, Proven: base, Specialisation: "docked"}, true},
		{"another system", proto.Systems{Current: special, Profile: base, Proven: base}, false},
		{"a specialisation of another one", proto.Systems{Current: base, Profile: special, Proven: base, Specialisation: "docked"}, false},
		{"what is not proven", proto.Systems{Current: base, Profile: base, Proven: special}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := (proto.Status{Systems: tt.systems, Conditions: ready}).Runs(base); got != tt.want {
				t.Errorf("Runs = %t, want %t", got, tt.want)
			}
		})
	}
}

func TestRests(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ready proto.Condition
		want  bool
	}{
		{"what failed here before", proto.Condition{Status: proto.StatusFalse, Reason: proto.ReasonQuarantined}, true},
		{"what is not known to be so", proto.Condition{Status: proto.StatusUnknown, Reason: proto.ReasonQuarantined}, false},
		{"what is tried again", proto.Condition{Status: proto.StatusFalse, Reason: proto.ReasonRetrying}, false},
		{"what is ready", proto.Condition{Status: proto.StatusTrue}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.ready.Type = proto.ConditionReady
			if got := (proto.Status{Conditions: []proto.Condition{tt.ready}}).Rests(); got != tt.want {
				t.Errorf("Rests = %t, want %t", got, tt.want)
			}
		})
	}
}

func TestRetries(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ready proto.Condition
		want  bool
	}{
		{"after a while", proto.Condition{Status: proto.StatusFalse, Reason: proto.ReasonRetrying}, true},
		{"now", proto.Condition{Status: proto.StatusFalse, Reason: proto.ReasonDeploying}, true},
		{"that is not known: an agent has just started", proto.Condition{Status: proto.StatusUnknown, Reason: proto.ReasonNoDesired}, true},
		{"not", proto.Condition{Status: proto.StatusFalse, Reason: proto.ReasonGaveUp}, false},
		{"nothing", proto.Condition{Status: proto.StatusTrue, Reason: proto.ReasonConverged}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.ready.Type = proto.ConditionReady
			if got := (proto.Status{Conditions: []proto.Condition{tt.ready}}).Retries(); got != tt.want {
				t.Errorf("Retries = %t, want %t", got, tt.want)
			}
		})
	}
}
