package web

import (
	"testing"
	"time"

	"kedge/proto"
)

// TestNobodySignsOutOthers: whoever signs in again and again ends their own sessions.
func TestNobodySignsOutOthers(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	s := newSessions()
	admin := s.begin(proto.NewOperatorToken(), now)
	viewer := proto.NewOperatorToken()
	for i := range 2 * maxSessions {
		s.begin(viewer, now.Add(time.Duration(i+1)*time.Second))
	}
	if _, stays := s.byID[admin.id]; !stays || len(s.byID) != maxSessions {
		t.Errorf("there are %d sessions, and another's is among them: %t", len(s.byID), stays)
	}
}
