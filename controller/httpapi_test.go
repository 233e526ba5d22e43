package controller

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/controller/internal/httpapi"
	"kedge/proto"
	"kedge/proto/bus"
)

// TestEveryCallIsServedOnBoth: what is registered is on NATS and on HTTP, and that is
// every call there is.
func TestEveryCallIsServedOnBoth(t *testing.T) {
	a := &api{
		identities: &identities{}, leases: &leases{}, keys: &keyAPI{}, rollouts: &rollouts{},
		http: httpapi.New(httpapi.Options{}), metrics: newMetrics(prometheus.NewRegistry()),
	}
	s := bus.NewService(bus.ServiceOptions{Log: slog.New(slog.DiscardHandler)})
	a.register(s)
	want := slices.Sorted(slices.Values(proto.Endpoints()))
	if got := slices.Sorted(slices.Values(s.Endpoints())); !slices.Equal(got, want) {
		t.Errorf("over NATS there are %v, want %v", got, want)
	}
	var got []proto.Endpoint
	for _, r := range a.http.Routes() {
		got = append(got, r.Endpoint)
		if r.Path != "/api/v1/"+r.Endpoint.Name() || (r.Method == "GET") != r.Endpoint.Reads() {
			t.Errorf("%s is called with %s %s", r.Endpoint, r.Method, r.Path)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("over HTTP there are %v, want %v", got, want)
	}
}
