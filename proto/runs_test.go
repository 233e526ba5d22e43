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

// TestRestsAndRetries: what a host says of why it is not ready tells whether it begins again.
func TestRestsAndRetries(t *testing.T) {
	for _, tt := range []struct {
		name           string
		ready          proto.Condition
		rests, retries bool
	}{
		{"what failed here before", proto.Condition{Status: proto.StatusFalse, Reason: proto.ReasonQuarantined}, true, false},
		{"what is not known to be so", proto.Condition{Status: proto.StatusUnknown, Reason: proto.ReasonQuarantined}, false, true},
		{"what is tried again after a while", proto.Condition{Status: proto.StatusFalse, Reason: proto.ReasonRetrying}, false, true},
		{"what is tried again now", proto.Condition{Status: proto.StatusFalse, Reason: proto.ReasonDeploying}, false, true},
		{"nothing that is known: an agent has just started", proto.Condition{Status: proto.StatusUnknown, Reason: proto.ReasonNoDesired}, false, true},
		{"what was given up", proto.Condition{Status: proto.StatusFalse, Reason: proto.ReasonGaveUp}, true, false},
		{"what is ready", proto.Condition{Status: proto.StatusTrue, Reason: proto.ReasonConverged}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.ready.Type = proto.ConditionReady
			s := proto.Status{Conditions: []proto.Condition{tt.ready}}
			if rests, retries := s.Rests(), s.Retries(); rests != tt.rests || retries != tt.retries {
				t.Errorf("Rests = %t, Retries = %t; want %t, %t", rests, retries, tt.rests, tt.retries)
			}
		})
	}
}
