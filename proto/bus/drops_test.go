package bus

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

func TestAHostCannotFillTheLog(t *testing.T) {
	url := startServer(t)
	var log bytes.Buffer
	f := NewFleet(open(t, url), slog.New(slog.NewTextHandler(&log, nil)))
	ctx, stop := context.WithCancel(t.Context())
	heard := make(chan proto.Heartbeat, 100)
	done := make(chan error, 1)
	go func() { done <- f.Heartbeats(ctx, func(r HeartbeatReport) { heard <- r.Heartbeat }) }()
	web1 := hostName(t, "web1")
	good, err := proto.Heartbeat{Host: web1, Time: time.Now()}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	other := rawClient(t, url)
	send := func(b []byte) {
		t.Helper()
		if err := other.Publish(proto.HeartbeatSubject(web1), b); err != nil {
			t.Fatal(err)
		}
	}
	for { // until somebody listens
		send(good)
		select {
		case <-heard:
		case <-time.After(10 * time.Millisecond):
			continue
		}
		break
	}
	for range 100 {
		send([]byte("nonsense"))
	}
	last, err := proto.Heartbeat{Host: web1, Time: time.Now(), Serial: 1}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	send(last)
	for receive(t, heard).Serial != 1 {
	}
	stop()
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
	if lines := strings.Count(log.String(), "messages dropped"); lines != 1 {
		t.Errorf("%d lines for 100 messages:\n%s", lines, &log)
	}
}

func TestDropsAreLoggedOnceAMinuteAndSubject(t *testing.T) {
	var d drops
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		subject string
		after   time.Duration
		want    int
	}{
		{"a", 0, 1},
		{"a", time.Second, 0},
		{"a", 59 * time.Second, 0},
		{"b", 59 * time.Second, 1},
		{"a", 60 * time.Second, 3},
		{"a", 61 * time.Second, 0},
		{"b", 2 * time.Minute, 1},
	} {
		if got := d.add(step.subject, start.Add(step.after)); got != step.want {
			t.Errorf("%s after %v: got %d, want %d", step.subject, step.after, got, step.want)
		}
	}
}

func TestDropsAreBounded(t *testing.T) {
	var d drops
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for round := range 2 { // a minute later there is room again
		logged := 0
		for n := range 2 * dropSubjects {
			logged += d.add(fmt.Sprint(round, n), now)
		}
		if logged != dropSubjects || len(d.subjects) != dropSubjects {
			t.Errorf("%d were logged and %d are kept, want %d", logged, len(d.subjects), dropSubjects)
		}
		now = now.Add(dropPause)
	}
}
