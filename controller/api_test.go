package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/proto"
	"kedge/proto/bus"
)

func TestAuditOfManyHostsCanBeStored(t *testing.T) {
	var hosts []proto.HostName
	for i := range 10000 {
		hosts = append(hosts, host(t, fmt.Sprintf("%s-%d", strings.Repeat("a", 50), i)))
	}
	e := proto.AuditEntry{Actor: "eve", Act: proto.ActReconcile, Message: hostNames(hosts)}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > proto.MaxAudit || !strings.HasSuffix(e.Message, " and 9936 more") {
		t.Errorf("%d bytes, at most %d are stored; message ends with %q", len(b), proto.MaxAudit, e.Message[len(e.Message)-20:])
	}
}

// A brokenHistory has no events for anybody, because of an error.
type brokenHistory struct {
	history
	err error
}

func (h brokenHistory) Events(context.Context, proto.EventsRequest) (proto.EventsReply, error) {
	return proto.EventsReply{}, fmt.Errorf("events: %w", h.err)
}

func TestACallThatTheEndOfTheControllerEndsMayBeMadeAgain(t *testing.T) {
	running := t.Context()
	stopped, stop := context.WithCancel(running)
	stop()
	for name, tt := range map[string]struct {
		ctx  context.Context
		err  error
		want string
	}{
		"the controller stops":           {stopped, context.Canceled, string(bus.CodeUnavailable)},
		"something else ends it then":    {stopped, errors.New("is broken"), string(bus.CodeInternal)},
		"something of its own was ended": {running, context.Canceled, string(bus.CodeInternal)},
		"NATS is away":                   {running, bus.ErrNotConnected, string(bus.CodeUnavailable)},
	} {
		t.Run(name, func(t *testing.T) {
			a := &api{fleet: NewFleet(time.Now), history: brokenHistory{err: tt.err}, metrics: newMetrics(prometheus.NewRegistry())}
			_, err := accounted(a, proto.EndpointEvents, a.eventsCall)(tt.ctx, bus.Caller{}, proto.EventsRequest{})
			if got := requestResult(err); got != tt.want || !strings.Contains(err.Error(), tt.err.Error()) {
				t.Errorf("got %s: %v; want %s", got, err, tt.want)
			}
			if n := testutil.ToFloat64(a.metrics.requests.WithLabelValues("events", tt.want)); n != 1 {
				t.Errorf("%v calls are counted as %s, want one", n, tt.want)
			}
		})
	}
}
