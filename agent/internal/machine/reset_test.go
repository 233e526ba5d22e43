package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"kedge/agent/internal/systemd"
	"kedge/agent/internal/transaction"
)

// reboots is systemd, as far as it is asked to reboot the host.
type reboots struct {
	Systemd
	err error
}

func (r reboots) StartReboot(context.Context) error { return r.err }

func TestWhoDoesNotAnswerIsToldFromWhoRefuses(t *testing.T) {
	refused := errors.New("access denied")
	for err, want := range map[error]bool{refused: false, fmt.Errorf("%w: timeout", systemd.ErrUnanswered): true} {
		m := New(Options{Systemd: reboots{err: err}, Log: slog.New(slog.DiscardHandler)})
		if got := m.Reboot(t.Context()); !errors.Is(got, err) || errors.Is(got, transaction.ErrNoAnswer) != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestReset(t *testing.T) {
	cannot, restarted := errors.New("operation not permitted"), 0
	o := Options{Log: slog.New(slog.DiscardHandler)}
	if err := New(o).Reset(t.Context()); !errors.Is(err, errNoRestart) {
		t.Errorf("without a way: %v", err)
	}
	o.Restart = func() error {
		restarted++
		return cannot
	}
	if err := New(o).Reset(t.Context()); !errors.Is(err, cannot) || restarted != 1 {
		t.Errorf("restarted %d times, %v", restarted, err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := New(o).Reset(stopped); !errors.Is(err, context.Canceled) || restarted != 1 {
		t.Errorf("stopped: restarted %d times, %v", restarted-1, err)
	}
}
