package health

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

var errOffline = errors.New("not connected")

// cut takes the network away between two times since the start: the agent waits a while
// for a connection, and says that there is none.
func (h *host) cut(from, to time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reconcile = func(ctx context.Context) error {
		if at := time.Since(h.start); at < from || at >= to {
			h.leave(h.agent.InvocationID)
			return nil
		}
		if err := pause(ctx, 5*time.Second); err != nil {
			return err
		}
		return errOffline
	}
}

// TestContactIsMadeOnceMore: a host whose network dies after its contact goes back; one
// whose network comes back in time does not.
func TestContactIsMadeOnceMore(t *testing.T) {
	for _, tt := range []struct {
		name     string
		prepare  func(h *host)
		good     bool
		at, lag  time.Duration
		asks     int // at least
		messages string
	}{
		{name: "a host that is well", prepare: func(*host) {}, good: true, at: grace, asks: 1},
		{
			name: "the network is lost after the contact", at: deadline, asks: 3, messages: errOffline.Error(),
			prepare: func(h *host) { h.cut(4*time.Second, time.Hour) },
		},
		{
			name: "the network is away for a moment", good: true, at: 30 * time.Second, lag: 2 * askPause, asks: 2,
			prepare: func(h *host) { h.cut(4*time.Second, 30*time.Second) },
		},
		{
			name: "the agent reads again by itself", good: true, at: 22 * time.Second, lag: askPause, asks: 2,
			prepare: func(h *host) {
				h.cut(4*time.Second, 22*time.Second)
				time.AfterFunc(22*time.Second, func() { h.leave(h.agent.InvocationID) })
			},
		},
		{
			name: "the agent says that it read, and left no receipt", at: deadline, asks: 2, messages: "none since",
			prepare: func(h *host) { h.reconcile = func(context.Context) error { return nil } },
		},
		{
			name: "the agent refuses what it reads then", at: deadline, asks: 2, messages: "withdrawn",
			prepare: func(h *host) {
				h.reconcile = func(context.Context) error {
					h.refused = proto.ReasonWithdrawn
					h.leave(h.agent.InvocationID)
					return nil
				}
			},
		},
		{
			name: "the agent does not answer", at: deadline, asks: 2, messages: "none since",
			prepare: func(h *host) {
				h.reconcile = func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				}
			},
		},
		{
			name: "the agent does not answer the first time, and nobody tells of its receipts", good: true, at: grace + askTimeout + askPause, lag: retryPause, asks: 2,
			prepare: func(h *host) {
				h.watchErr = errors.New("too many open files")
				h.reconcile = func(ctx context.Context) error {
					h.reconcile = nil
					<-ctx.Done()
					return ctx.Err()
				}
			},
		},
		{
			name: "the network is lost, and nobody tells of receipts", at: deadline, asks: 3, messages: errOffline.Error(),
			prepare: func(h *host) {
				h.watchErr = errors.New("too many open files")
				h.cut(4*time.Second, time.Hour)
			},
		},
		{
			name: "the agent is replaced when it is asked", good: true, at: grace + 3*time.Second, asks: 2,
			prepare: func(h *host) {
				h.reconcile = func(context.Context) error {
					h.mu.Lock()
					defer h.mu.Unlock()
					h.agent.InvocationID, h.reconcile = "second", nil
					time.AfterFunc(3*time.Second, func() { h.leave("second") })
					return errors.New("EOF")
				}
			},
		},
		{
			name: "the clock is set back by a day", good: true, at: grace, asks: 1,
			prepare: func(h *host) {
				h.reconcile = func(context.Context) error {
					h.clock = -24 * time.Hour
					h.leave(h.agent.InvocationID)
					return nil
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost()
				tt.prepare(h)
				got, err := h.judge(t).Judge(t.Context(), deployment.Probation{Grace: grace, Deadline: deadline}, deployment.Baseline{})
				at := time.Since(h.start)
				if err != nil || got.Good != tt.good || got.Contact != tt.good || !strings.Contains(got.Message, tt.messages) {
					t.Errorf("got %+v, %v, want good is %t, message with %q", got, err, tt.good, tt.messages)
				}
				if !tt.good && got.Reason != proto.ReasonNoContact {
					t.Errorf("reason is %q", got.Reason)
				}
				if at < tt.at || at > tt.at+tt.lag {
					t.Errorf("decided after %v, want %v and at most %v more", at, tt.at, tt.lag)
				}
				if h.asks < tt.asks || tt.asks == 1 && h.asks > 1 {
					t.Errorf("the agent was asked %d times, want %d", h.asks, tt.asks)
				}
			})
		})
	}
}

// A way back waits for no network.
func TestTheAgentOfASystemThatIsBadIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.units = always(failed("app.service"))
		h.cut(4*time.Second, time.Hour)
		got, err := h.judge(t).Judge(t.Context(), deployment.Probation{Grace: grace, Deadline: deadline}, deployment.Baseline{})
		if err != nil || got.Reason != proto.ReasonUnitsFailed || h.asks > 0 || time.Since(h.start) != grace {
			t.Errorf("got %+v, %v after %v, asked %d times", got, err, time.Since(h.start), h.asks)
		}
	})
}

// Each last look has contact of its own: a check may have been waited for since the last.
func TestContactIsMadeOnceMoreForEachLook(t *testing.T) {
	for name, passes := range map[string]time.Duration{
		"a check that fails when contact is there again": 15 * time.Second,
		"a check that fails while contact is waited for": 11 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost()
				h.cut(4*time.Second, 18*time.Second)
				time.AfterFunc(18*time.Second, func() { h.leave(h.agent.InvocationID) })
				time.AfterFunc(25*time.Second, func() { h.cut(0, time.Hour) })
				h.units = func(at time.Duration) systemd.Units {
					if at > passes && at < 40*time.Second {
						return systemd.Units{failed("app.service")}
					}
					return systemd.Units{active("app.service")}
				}
				p := deployment.Probation{Grace: grace, Deadline: deadline, Checks: []deployment.Check{{Name: "app", Unit: "app.service", Required: true}}}
				got, err := h.judge(t).Judge(t.Context(), p, deployment.Baseline{Failed: []string{"app.service"}})
				if err != nil || got.Reason != proto.ReasonNoContact || time.Since(h.start) != deadline {
					t.Errorf("got %+v, %v after %v, want no contact", got, err, time.Since(h.start))
				}
			})
		})
	}
}

func TestJudgeStopsWhenCancelledWhileTheAgentIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.cut(4*time.Second, time.Hour)
		shutdown := errors.New("the host shuts down")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(11*time.Second, func() { cancel(shutdown) })
		got, err := h.judge(t).Judge(ctx, deployment.Probation{Grace: grace, Deadline: deadline}, deployment.Baseline{})
		if !errors.Is(err, shutdown) || time.Since(h.start) != 11*time.Second {
			t.Errorf("got %+v, %v after %v", got, err, time.Since(h.start))
		}
	})
}
