package agent

import (
	"testing"

	"kedge/agent/internal/statefile"
)

// TestCursorsOfTheFirstVersionAreRead: the files in testdata/1 are as the first
// version wrote them, and with a member of a later one. They are never written
// anew.
func TestCursorsOfTheFirstVersionAreRead(t *testing.T) {
	files := statefile.Dir{State: "testdata/1"}
	reported, err := newReportCursor(files).file.Read()
	if want := (reportedSteps{Deployment: "7-x", Steps: 3}); err != nil || reported != want {
		t.Errorf("reported: %+v, %v, want %+v", reported, err, want)
	}
	followed := newFollowedCursor(files)
	if err := followed.read(); err != nil || followed.last != (followedEnd{Deployment: "7-x"}) {
		t.Errorf("followed: %+v, %v", followed.last, err)
	}
}
