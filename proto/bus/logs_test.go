package bus

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

func TestPartsOfALogAreJoinedOnceEach(t *testing.T) {
	at := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	part := func(deployment string, run time.Duration, n, of int, text string) proto.Log {
		return proto.Log{Deployment: deployment, Phase: proto.PhaseActivating, Mode: proto.ModeTest, Time: at.Add(run), Part: n, Parts: of, Text: text}
	}
	logs := []proto.Log{
		part("6-x", 0, 1, 1, "another"),
		part("7-x", 1, 1, 3, "a"),
		part("7-x", 1, 2, 3, "b"),
		part("7-x", 1, 2, 3, "b"), // the answer to the first one was lost
		part("7-x", 1, 3, 3, "c"),
		part("7-x", 2, 2, 2, "its first part is too old to be kept"),
		part("7-x", 3, 2, 2, "2"),
		part("7-x", 3, 1, 2, "1"),
	}
	want := []proto.HostLogRun{
		{Phase: proto.PhaseActivating, Mode: proto.ModeTest, Time: at.Add(1), Text: "abc"},
		{Phase: proto.PhaseActivating, Mode: proto.ModeTest, Time: at.Add(2), Text: "its first part is too old to be kept", Cut: true},
		{Phase: proto.PhaseActivating, Mode: proto.ModeTest, Time: at.Add(3), Text: "12"},
	}
	if d := cmp.Diff(want, joined(newest(logs, "7-x", logBytes)), cmp.AllowUnexported(proto.StorePath{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := newest(logs, "8-x", logBytes); len(got) > 0 {
		t.Errorf("of another deployment: got %+v", got)
	}
	if got := joined(newest(logs, "7-x", len("c")+len(logs[5].Text)+len("21"))); len(got) != 3 || got[0].Text != "c" || !got[0].Cut {
		t.Errorf("of what is too much: got %+v", got)
	}
}
