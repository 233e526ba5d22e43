package natsd_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

func hostLog(t *testing.T, name, deployment, text string) proto.Log {
	t.Helper()
	toplevel, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-nixos-system-web1")
	if err != nil {
		t.Fatal(err)
	}
	return proto.Log{
		Host: hostName(t, name), Deployment: deployment, Toplevel: toplevel, Phase: proto.PhaseActivating, Mode: proto.ModeTest,
		Time: time.Now().UTC(), Text: text,
	}
}

func sendLog(t *testing.T, h *bus.Host, l proto.Log) {
	t.Helper()
	for _, part := range l.Split() {
		if err := h.PublishLog(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheLogOfADeploymentIsRead(t *testing.T) {
	w := newWorld(t)
	fleet := w.fleet(t)
	web1, web2 := w.host(t, "web1"), w.host(t, "web2")
	ask := proto.HostLogRequest{Host: hostName(t, "web1")}
	if _, err := fleet.HostLog(t.Context(), ask); !errors.Is(err, bus.ErrNotFound) {
		t.Fatalf("before there is one: got %v, want %v", err, bus.ErrNotFound)
	}
	long := strings.Repeat("é\n", 40<<10)
	sendLog(t, web1, hostLog(t, "web1", "6-x", "the one before"))
	sendLog(t, web2, hostLog(t, "web2", "7-x", "another host's"))
	sendLog(t, web1, hostLog(t, "web1", "7-x", long))
	sendLog(t, web2, hostLog(t, "web2", "8-x", "another host's"))
	for deployment, want := range map[string]string{"": long, "7-x": long, "6-x": "the one before"} {
		ask.Deployment = deployment
		r, err := fleet.HostLog(t.Context(), ask)
		if err != nil || len(r.Runs) != 1 || r.Runs[0].Text != want || r.Runs[0].Cut {
			t.Errorf("%q: got %d runs of %s, %v", deployment, len(r.Runs), r.Deployment, err)
		}
	}
	ask.Deployment = "8-x"
	if _, err := fleet.HostLog(t.Context(), ask); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("of another host's deployment: got %v, want %v", err, bus.ErrNotFound)
	}
}

// TestWhatAHostileHostPutsIntoTheLogsIsBounded: it pushes out its own messages only, says
// nothing in the name of another host, and no reply outgrows a message.
func TestWhatAHostileHostPutsIntoTheLogsIsBounded(t *testing.T) {
	const most = 4 << 20 // of the 8 MiB that a message may have
	w := newWorld(t)
	fleet := w.fleet(t)
	sendLog(t, w.host(t, "web2"), hostLog(t, "web2", "1-x", "an honest host's"))
	file, id := w.hostFile(t, "web1")
	r := w.rebel(t, file, id)
	// What has one byte here has six where we write it.
	text := func(l proto.Log, size int) string {
		l.Format, l.Part, l.Parts, l.Text = proto.Format1, 1, 1, "TEXT"
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Replace(string(b), "TEXT", strings.Repeat("<", size), 1)
	}
	const patience, large = 10 * time.Second, 46 << 10
	for range proto.MaxLogs + 10 {
		for _, data := range []string{"not even JSON", text(hostLog(t, "web2", "2-x", ""), 1), text(hostLog(t, "web1", "7-x", ""), large)} {
			if _, err := r.Request(proto.LogSubject(hostName(t, "web1")), []byte(data), patience); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := fleet.HostLog(t.Context(), proto.HostLogRequest{Host: hostName(t, "web1")})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(got); err != nil || len(b) > most || len(got.Runs) == 0 {
		t.Errorf("a reply has %d runs in %d bytes (%v), want at most %d", len(got.Runs), len(b), err, most)
	}
	got, err = fleet.HostLog(t.Context(), proto.HostLogRequest{Host: hostName(t, "web2")})
	if err != nil || len(got.Runs) != 1 || got.Runs[0].Text != "an honest host's" {
		t.Errorf("of the honest one: got %+v, %v", got, err)
	}
}
