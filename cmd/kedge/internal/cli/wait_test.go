package cli

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// A controller that stops in the middle of a look says so; the next one knows.
func TestAWaitOutlivesTheControllerThatIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
		defer cancel()
		looks := 0
		look := func(context.Context, proto.FleetRequest) (proto.FleetReply, error) {
			if looks++; looks < 3 {
				return proto.FleetReply{}, bus.Errorf(bus.CodeUnavailable, "the controller stops: context canceled")
			}
			return proto.FleetReply{Version: 1}, nil
		}
		k := &kedge{Options: Options{Stdout: io.Discard}}
		began := time.Now()
		err := k.watch(ctx, look, func(proto.FleetReply) ([]judged, bool, error) { return nil, true, nil })
		if took := time.Since(began); err != nil || looks != 3 || took != 2*retryDelay {
			t.Errorf("got %v after %d looks and %v; want 3 with pauses in between", err, looks, took)
		}
		forever := func(context.Context, proto.FleetRequest) (proto.FleetReply, error) {
			return proto.FleetReply{}, bus.Errorf(bus.CodeUnavailable, "256 calls are under way")
		}
		err = k.watch(ctx, forever, func(proto.FleetReply) ([]judged, bool, error) { return nil, true, nil })
		if ExitCode(err) != ExitTimeout || !strings.Contains(err.Error(), "256 calls are under way") {
			t.Errorf("got %v; want that the time is up, and why", err)
		}
	})
}

func TestALostAnswerCostsAWaitNotMoreThanOnePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
		defer cancel()
		looks := 0
		look := func(ctx context.Context, _ proto.FleetRequest) (proto.FleetReply, error) {
			if looks++; looks == 1 {
				<-ctx.Done()
				return proto.FleetReply{}, bus.ErrTimeout
			}
			return proto.FleetReply{Version: 1}, nil
		}
		k := &kedge{Options: Options{Stdout: io.Discard}}
		err := k.watch(ctx, look, func(proto.FleetReply) ([]judged, bool, error) { return nil, true, nil })
		if took := time.Since(started); err != nil || looks != 2 || took > 2*proto.MaxWait {
			t.Errorf("got %v after %d looks and %v", err, looks, took)
		}
	})
}
