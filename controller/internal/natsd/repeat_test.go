package natsd

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

func TestAccountsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		stats, ended := make(chan *nats.Msg), make(chan error)
		var pushed []time.Duration
		go func() {
			ended <- repeat(ctx, stats, nil, func() error {
				pushed = append(pushed, time.Since(start).Truncate(time.Second))
				return nil
			})
		}()
		at := func(when time.Duration, server string) {
			time.Sleep(when - time.Since(start))
			stats <- &nats.Msg{Subject: "$SYS.SERVER." + server + ".STATSZ"}
			synctest.Wait()
		}
		at(1*time.Second, "N1")
		at(2*time.Second, "N2")
		at(11*time.Second, "N1")
		at(12*time.Second, "N2")
		at(22*time.Second, "N1")
		at(50*time.Second, "N2") // it was cut off
		at(51*time.Second, "N1")
		at(55*time.Second, "N3") // N2, started anew
		time.Sleep(10 * time.Second)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
		want := []time.Duration{0, 1, 2, 50, 55, 60}
		if len(pushed) != len(want) {
			t.Fatalf("pushed after %v, want after %v s", pushed, want)
		}
		for i, w := range want {
			if pushed[i] != w*time.Second {
				t.Errorf("pushed after %v, want after %v s", pushed, want)
			}
		}
	})
}

func TestARepetitionEndsWithItsConnection(t *testing.T) {
	refused := errors.New("not taken")
	closed := make(chan struct{})
	close(closed)
	for _, c := range []struct {
		name string
		push error
	}{{"that was lost", nil}, {"over which nothing is taken", refused}} {
		t.Run(c.name, func(t *testing.T) {
			if err := repeat(t.Context(), nil, closed, func() error { return c.push }); !errors.Is(err, c.push) {
				t.Errorf("error = %v, want %v", err, c.push)
			}
		})
	}
}
