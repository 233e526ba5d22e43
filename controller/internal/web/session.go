package web

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"kedge/proto"
)

// cookieName is that of the cookie which names a session. Browsers send one so called over
// TLS alone, to this very host, and take it from nobody else.
const cookieName = "__Host-kedge"

// How long a session lasts, and how many there are: beyond that the oldest ends of those
// whose token has most of them, so that nobody signs out others by signing in.
const (
	sessionLifetime = 12 * time.Hour
	maxSessions     = 1000
)

// A session is a visitor who has signed in.
type session struct {
	id    string // secret
	token proto.OperatorToken
	ends  time.Time
}

// sessions are those under way. Safe for concurrent use.
type sessions struct {
	mu   sync.Mutex
	byID map[string]session
}

func newSessions() *sessions { return &sessions{byID: map[string]session{}} }

// begin begins a session.
func (s *sessions) begin(t proto.OperatorToken, now time.Time) session {
	n := session{id: rand.Text(), token: t, ends: now.Add(sessionLifetime)}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, old := range s.byID {
		if !now.Before(old.ends) {
			delete(s.byID, id)
		}
	}
	if len(s.byID) >= maxSessions {
		s.dropOldest()
	}
	s.byID[n.id] = n
	return n
}

// dropOldest ends the session that would end first, of the token with most sessions. The
// caller holds s.mu.
func (s *sessions) dropOldest() {
	count := map[proto.OperatorToken]int{}
	for _, old := range s.byID {
		count[old.token]++
	}
	var oldest session
	for _, old := range s.byID {
		more := count[old.token] - count[oldest.token]
		if more > 0 || more == 0 && old.ends.Before(oldest.ends) {
			oldest = old
		}
	}
	delete(s.byID, oldest.id)
}

// of returns the session that a request names.
func (s *sessions) of(r *http.Request, now time.Time) (session, bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, known := s.byID[c.Value]
	return found, known && now.Before(found.ends)
}

// end ends a session, which may have ended.
func (s *sessions) end(old session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, old.id)
}

// cookie returns the cookie that names a session; without one, what makes a browser
// forget it. It comes with a link of another site, such as a chat's, as following one acts
// on nothing: what does is a POST, and from this site alone.
func cookie(s session) *http.Cookie {
	c := &http.Cookie{Name: cookieName, Value: s.id, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if s.id == "" {
		c.MaxAge = -1
	}
	return c
}
