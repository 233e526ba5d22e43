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
