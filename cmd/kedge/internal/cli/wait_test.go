package cli

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

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
