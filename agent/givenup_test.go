package agent_test

import (
	"context"
	"errors"
	"testing"

	"kedge/agent/internal/closure"
	"kedge/proto"
)

func TestWhatWasFetchedIsLetGoWhenTheProvenSystemIsWantedAgain(t *testing.T) {
	w := newWorld(t)
	w.fetch = func(context.Context, closure.FetchOrder) error {
		return &closure.Rejection{Reason: proto.ReasonCacheUnreachable, Err: errors.New("half of it is missing")}
	}
	w.start()
	w.assign(7, pathB)
	w.awaitStatus("the wait for another try", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonRetrying
	})
	w.change(func() {
		if w.givenUp > 0 {
			t.Error("let go of before the next try")
		}
	})
	w.assign(8, pathA)
	w.await("that it is let go of", func() bool { return w.givenUp > 0 })
}
