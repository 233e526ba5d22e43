package hatest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/controller"
	"kedge/controller/internal/natstest"
	"kedge/proto"
)

// serverConfig is an environment variable that makes this test binary a NATS server.
const serverConfig = "KEDGE_TEST_NATS_CONFIG"

// nowhere is an address that nobody listens at.
const nowhere = "127.0.0.1:9"

// runServer is a NATS server until standard input ends. It says where it listens: for
// clients, and for other servers.
func runServer(file string) error {
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		return err
	}
	s, err := natstest.Start(o)
	if err != nil {
		return err
	}
	defer natstest.Stop(s)
	if _, err := fmt.Fprintln(os.Stdout, strings.TrimPrefix(s.ClientURL(), "nats://"), s.ClusterAddr()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// A natsServer is one of a cluster, in a process of its own.
type natsServer struct {
	name, file string
	clients    *gate            // for its clients
	from       map[string]*gate // for the other servers, by name
	cmd        *exec.Cmd        // nil while it does not run
	stdin      io.Closer
}

// A natsCluster is three servers, each with what the controller says that it needs.
type natsCluster []*natsServer

// startCluster starts the servers, for controllers whose keys are in a state directory.
func startCluster(t *testing.T, stateDir string) natsCluster {
	t.Helper()
	text, err := controller.ExternalNATS(memberConfig(stateDir, ""), time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	c := natsCluster{{name: "n1"}, {name: "n2"}, {name: "n3"}}
	for _, s := range c {
		s.clients, s.from = startGate(t), map[string]*gate{}
		for _, other := range c {
			if other != s {
				s.from[other.name] = startGate(t)
			}
		}
	}
	for _, s := range c {
		dir := t.TempDir()
		var routes []string
		for _, other := range c {
			if other != s {
				routes = append(routes, strconv.Quote("nats://"+other.from[s.name].address()))
			}
		}
		s.file = filepath.Join(dir, "nats.conf")
		own := fmt.Sprintf("server_name: %s\nlisten: 127.0.0.1:-1\ncluster { name: kedge, listen: 127.0.0.1:-1, advertise: %q, routes: [%s] }\n", s.name, nowhere, strings.Join(routes, ", "))
		if err := os.WriteFile(s.file, []byte(strings.ReplaceAll(text, "/var/lib/nats", dir)+own), 0o600); err != nil {
			t.Fatal(err)
		}
		s.start(t)
	}
	return c
}

func (s *natsServer) start(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serverConfig+"="+s.file)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.cmd, s.stdin = cmd, stdin
	t.Cleanup(s.kill)
	said, err := bufio.NewReader(stdout).ReadString('\n')
	clients, servers, ok := strings.Cut(strings.TrimSpace(said), " ")
	if err != nil || !ok {
		t.Fatalf("server %s says %q, %v", s.name, said, err)
	}
	s.clients.lead(clients)
	for _, g := range s.from {
		g.lead(servers)
	}
}

// kill ends the process with SIGKILL. It may be called again.
func (s *natsServer) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()         // it was killed
	_ = s.stdin.Close()
	s.cmd = nil
}

// url is where clients reach these servers.
func (c natsCluster) url() string {
	var all []string
	for _, s := range c {
		all = append(all, "nats://"+s.clients.address())
	}
	return strings.Join(all, ",")
}

// split divides the servers between one and the others, and heal joins them again.
func (c natsCluster) split(one *natsServer) { c.between(one, (*gate).shut) }
func (c natsCluster) heal(one *natsServer)  { c.between(one, (*gate).thaw) }

func (c natsCluster) between(one *natsServer, do func(*gate)) {
	for _, s := range c {
		if s != one {
			do(s.from[one.name])
			do(one.from[s.name])
		}
	}
}

// others are all but one.
func (c natsCluster) others(one *natsServer) natsCluster {
	return slices.DeleteFunc(slices.Clone(c), func(s *natsServer) bool { return s == one })
}

// jet is JetStream as a controller sees it.
func jet(t *testing.T, url, stateDir string) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(url, nats.UserCredentials(filepath.Join(stateDir, "keys", "controller.creds")), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// awaitWhole waits until every stream has a leader and two replicas that are up to date,
// and returns the server that leads what controllers keep for one another.
func (c natsCluster) awaitWhole(t *testing.T, js jetstream.JetStream) *natsServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), haPatience)
	defer cancel()
	for {
		leads, why := wholeness(ctx, js)
		if i := slices.IndexFunc(c, func(s *natsServer) bool { return s.name == leads }); why == nil && i >= 0 {
			return c[i]
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("the cluster is not whole: %v", why)
		}
	}
}

// wholeness says what is not whole, and who leads the stream of the lease.
func wholeness(ctx context.Context, js jetstream.JetStream) (leads string, why error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	streams := js.ListStreams(ctx)
	n := 0
	for info := range streams.Info() {
		n++
		if info.Cluster == nil || info.Config.Replicas != 3 || info.Cluster.Leader == "" {
			return "", fmt.Errorf("stream %s has %d replicas, and its cluster is %+v", info.Config.Name, info.Config.Replicas, info.Cluster)
		}
		for _, p := range info.Cluster.Replicas {
			if !p.Current || p.Offline {
				return "", fmt.Errorf("stream %s: %s is not up to date", info.Config.Name, p.Name)
			}
		}
		if info.Config.Name == proto.StreamControl {
			leads = info.Cluster.Leader
		}
	}
	if err := streams.Err(); err != nil {
		return "", err
	}
	if leads == "" {
		return "", fmt.Errorf("%d streams, and none of controllers", n)
	}
	return leads, nil
}

// answered asks until there is an answer: what is asked while nobody leads is not
// answered later.
func answered[T any](t *testing.T, ask func(context.Context) (T, error)) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), haPatience)
	defer cancel()
	for {
		soon, cancel := context.WithTimeout(ctx, 2*time.Second)
		answer, err := ask(soon)
		cancel()
		if err == nil {
			return answer
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("not answered: %v", err)
		}
	}
}

// checkPublished requires that these toplevels come to have been put as web1's desired
// state, in order, each under a serial of its own, and nothing else ever was.
func checkPublished(t *testing.T, js jetstream.JetStream, names ...string) {
	t.Helper()
	var want []proto.Target
	for i, name := range names {
		want = append(want, proto.Target{Serial: proto.Serial(i + 1), Toplevel: toplevel(t, name)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), haPatience)
	defer cancel()
	for {
		got := published(t, js)
		if slices.Equal(got, want) {
			return
		}
		if len(got) >= len(want) {
			t.Fatalf("published:\n%+v\nwant\n%+v", got, want)
		}
		select {
		case <-time.After(100 * time.Millisecond): // it may be durable, and not be here yet
		case <-ctx.Done():
			t.Fatalf("published:\n%+v\nwant\n%+v", got, want)
		}
	}
}

// published returns what web1 was told, one after the other.
func published(t *testing.T, js jetstream.JetStream) (all []proto.Target) {
	t.Helper()
	stream := answered(t, func(ctx context.Context) (jetstream.Stream, error) {
		return js.Stream(ctx, "KV_"+proto.BucketDesired)
	})
	state := stream.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq; seq++ {
		m := answered(t, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return stream.GetMsg(ctx, seq) })
		d, err := proto.ParseDesired(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		var a proto.Assignment
		r, problem := proto.ReadRelease(d.Release)
		if err := errors.Join(problem, json.Unmarshal(d.Assignment.Payload, &a)); err != nil {
			t.Fatal(err)
		}
		said := proto.Target{Serial: a.Serial, Toplevel: r.Toplevel}
		if len(all) == 0 || all[len(all)-1] != said { // the same once more is harmless
			all = append(all, said)
		}
	}
	return all
}
