package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestLivesEndWithAnErrorThatLasts(t *testing.T) {
	c := open(t, startServer(t))
	calls := 0
	err := c.lives(t.Context(), func(context.Context, *nats.Conn) error {
		if calls++; calls < 3 { // the connection is closed, but still the current one
			return fmt.Errorf("subscribe: %w", translate(nats.ErrConnectionClosed))
		}
		return errAny
	})
	if !errors.Is(err, errAny) || calls != 3 {
		t.Errorf("got %v after %d calls, want %v after 3", err, calls, errAny)
	}
}
