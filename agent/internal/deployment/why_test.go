package deployment_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

func TestTheLogSaysNothingOfWhatIsEmpty(t *testing.T) {
	for _, tt := range []struct {
		reason  proto.Reason
		message string
		want    []any
	}{
		{"", "", nil},
		{proto.ReasonConverged, "", []any{"reason", proto.ReasonConverged}},
		{"", "3 MiB", []any{"detail", "3 MiB"}},
		{proto.ReasonUnitsFailed, "a.service", []any{"reason", proto.ReasonUnitsFailed, "detail", "a.service"}},
	} {
		if diff := cmp.Diff(tt.want, deployment.Why(tt.reason, tt.message)); diff != "" {
			t.Errorf("%q, %q (-want +got):\n%s", tt.reason, tt.message, diff)
		}
	}
}
