package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// A logger is the server's way into our log. What a server calls a notice is
// routine, so it is shown for debugging only.
type logger struct {
	log *slog.Logger

	mu   sync.Mutex
	last string // what was fatal
}

// fatal returns what the server could not go on from, or nil.
func (l *logger) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == "" {
		return nil
	}
	return errors.New(l.last)
}

// say logs one message.
func (l *logger) say(log func(string, ...any), format string, args []any) {
	log("nats server", "text", fmt.Sprintf(format, args...))
}

// Noticef implements server.Logger.
func (l *logger) Noticef(format string, args ...any) { l.say(l.log.Debug, format, args) }

// noTLS begins what the server says of its WebSocket, which this machine alone
// reaches.
const noTLS = "Websocket not configured with TLS"

// Warnf implements server.Logger.
func (l *logger) Warnf(format string, args ...any) {
	if strings.HasPrefix(format, noTLS) {
		return
	}
	l.say(l.log.Warn, format, args)
}

// Errorf implements server.Logger.
func (l *logger) Errorf(format string, args ...any) { l.say(l.log.Error, format, args) }

// Debugf implements server.Logger.
func (l *logger) Debugf(format string, args ...any) { l.say(l.log.Debug, format, args) }

// Tracef implements server.Logger.
func (l *logger) Tracef(format string, args ...any) { l.say(l.log.Debug, format, args) }

// Fatalf implements server.Logger. The server returns after it, not started.
func (l *logger) Fatalf(format string, args ...any) {
	l.mu.Lock()
	l.last = fmt.Sprintf(format, args...)
	l.mu.Unlock()
	l.say(l.log.Error, format, args)
}
