package natsd

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"kedge/internal/durable"
)

// probeSize is how much the disk must take before the server is worth a new
// start, in bytes.
const probeSize = 4 << 20

// deleted begins the names of directories with what was a stream, until all of it is removed.
const deleted = "."

// Healthy returns why the server does not store what it is sent, or nil. It costs
// little.
//
// After one message could not be stored, for want of space for one, the server
// stores nothing more in that stream until it is started anew. It answers nobody
// who sends it something, and goes on to be read from.
func (s *Server) Healthy() error {
	h := s.server.Healthz(&server.HealthzOptions{Account: s.controlID, Details: true})
	if h.StatusCode == http.StatusNotFound { // nothing is stored yet
		return nil
	}
	for _, e := range h.Errors {
		if !strings.HasPrefix(e.Stream, deleted) {
			return errors.New(e.Error)
		}
	}
	return nil
}

// Mendable reports whether a server that is not healthy would be after a new
// start: it was after the last one, and the disk takes data again. As long as it
// does not, what can be read is worth more than a server that cannot start.
func (s *Server) Mendable() bool {
	if !s.sound {
		return false
	}
	probe := filepath.Join(s.storeDir, "probe")
	return errors.Join(durable.WriteFile(probe, make([]byte, probeSize), secretPerm), durable.Remove(probe)) == nil
}
