package agent

import (
	"context"
	"log/slog"
)

// Complaints remember what was last logged about each thing that is tried
// again and again, so that the log says it once and not every few seconds.
// The zero value is ready. Not safe for concurrent use.
type complaints struct{ last map[string]string }

// log logs err under message, at level if it is another one than the last time,
// else for debugging only.
func (c *complaints) log(ctx context.Context, log *slog.Logger, level slog.Level, message string, err error) {
	if c.last[message] == err.Error() {
		level = slog.LevelDebug
	}
	if c.last == nil {
		c.last = map[string]string{}
	}
	c.last[message] = err.Error()
	log.Log(ctx, level, message, "err", err) //nolint:sloglint // the callers' messages are constants
}

// over forgets what was logged under message: it is well again.
func (c *complaints) over(message string) { delete(c.last, message) }

// tell logs err if it is news; nil ends a complaint.
func (a *Agent) tell(ctx context.Context, level slog.Level, message string, err error) {
	if err == nil {
		a.complaints.over(message)
	} else if ctx.Err() == nil {
		a.complaints.log(ctx, a.Log, level, message, err)
	}
}
