package controller

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/controller/internal/httpapi"
	"kedge/controller/internal/natsd"
	"kedge/proto"
	"kedge/proto/bus"
)

func TestALargeFleetFitsThroughNATS(t *testing.T) {
	const hosts = 10_000
	f := NewFleet(time.Now)
	for i := range hosts {
		noise := make([]byte, 1000) // that cannot be compressed
		_, _ = rand.Read(noise)
		s := status(host(t, fmt.Sprintf("host-%d", i)), 1, proto.PhaseProbation)
		s.Deployment.Message = hex.EncodeToString(noise)
		f.Apply(s, time.Now())
	}
	server, err := natsd.Start(t.Context(), natsd.Options{StateDir: t.TempDir(), Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	admin, err := server.OperatorCredentials(proto.RoleAdmin, "eva")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "eva.creds")
	if err := os.WriteFile(file, admin, 0o600); err != nil {
		t.Fatal(err)
	}
	serving := make(chan struct{}, 1)
	a := &api{fleet: f, http: httpapi.New(httpapi.Options{}), metrics: newMetrics(prometheus.NewRegistry())}
	s := bus.NewService(bus.ServiceOptions{
		Conn: connected(t, server, server.ControllerCredentials()), Version: "0.0.0-test", Log: slog.New(slog.DiscardHandler),
		Serving: func() { serving <- struct{}{} },
	})
	handle(a, s, proto.EndpointFleet, a.fleetCall)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-serving
	eva := connected(t, server, file)

	var last proto.HostName
	seen, pages := 0, 0
	for req := (proto.FleetRequest{}); ; pages++ {
		r, err := bus.Call[proto.FleetRequest, proto.FleetReply](t.Context(), eva, proto.EndpointFleet, req)
		if err != nil {
			t.Fatalf("page %d: %v", pages, err)
		}
		for _, v := range r.Hosts {
			if v.Host.Compare(last) <= 0 {
				t.Fatalf("page %d: host %s comes after %s", pages, v.Host, last)
			}
			last = v.Host
			seen++
		}
		if req.Continue = r.Continue; r.Continue.IsZero() {
			break
		}
	}
	if seen != hosts || pages < hosts/proto.MaxHosts-1 {
		t.Errorf("%d hosts on %d pages, want %d on at least %d", seen, pages+1, hosts, hosts/proto.MaxHosts)
	}
}

func connected(t *testing.T, server *natsd.Server, credentials string) *bus.Conn {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{
		Servers: []string{server.ClientURL()}, Name: "test", Credentials: credentials, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.AwaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestPages(t *testing.T) {
	f := NewFleet(time.Now)
	for _, name := range []string{"a", "b", "c"} {
		f.Apply(status(host(t, name), 1, proto.PhaseProbation), time.Now())
	}
	for _, tt := range []struct {
		name  string
		after string
		limit int
		want  string
		more  bool
	}{
		{"everything", "", 0, "abc", false},
		{"the first page", "", 2, "ab", true},
		{"the last page", "b", 2, "c", false},
		{"a page that ends with the last host", "a", 2, "bc", false},
		{"after a host that is gone", "aa", 1, "b", true},
		{"after the last", "c", 2, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var after proto.HostName
			if tt.after != "" {
				after = host(t, tt.after)
			}
			page, err := f.Page(after, tt.limit)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, v := range page.Hosts {
				got += v.Host.String()
			}
			if got != tt.want || tt.more == page.Continue.IsZero() || page.Version == 0 || page.Hosts == nil {
				t.Errorf("got %q, continue %q; want %q, and more: %t", got, page.Continue, tt.want, tt.more)
			}
		})
	}
}

func TestAPageEndsWhenItIsLarge(t *testing.T) {
	f := NewFleet(time.Now)
	big := status(host(t, "a"), 1, proto.PhaseProbation)
	big.Deployment.Message = string(make([]byte, pageBytes))
	f.Apply(big, time.Now())
	f.Apply(status(host(t, "b"), 1, proto.PhaseProbation), time.Now())
	if page, err := f.Page(proto.HostName{}, 0); err != nil || len(page.Hosts) != 1 || page.Continue != host(t, "a") {
		t.Errorf("the first page has %d hosts, and goes on after %q, %v; want one", len(page.Hosts), page.Continue, err)
	}
	if page, err := f.Page(host(t, "a"), 0); err != nil || len(page.Hosts) != 1 || !page.Continue.IsZero() {
		t.Errorf("the second page has %d hosts, and goes on after %q, %v; want one", len(page.Hosts), page.Continue, err)
	}
}

// A controller that builds nothing has no channels: an empty list, for who reads it.
func TestAFleetWithoutChannelsHasAListOfThem(t *testing.T) {
	page, err := NewFleet(time.Now).Page(proto.HostName{}, 0)
	if err != nil || page.Sources == nil || len(page.Sources) > 0 {
		t.Errorf("sources are %#v, %v", page.Sources, err)
	}
}
