package reach

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnswers(t *testing.T) {
	network := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"a connection":           {nil, true},
		"a refusal":              {network(syscall.ECONNREFUSED), true},
		"a reset":                {network(syscall.ECONNRESET), true},
		"no route":               {network(syscall.EHOSTUNREACH), false},
		"no network":             {network(syscall.ENETUNREACH), false},
		"no permission":          {network(syscall.EPERM), false},
		"no such name":           {&net.DNSError{Err: "no such host", IsNotFound: true}, false},
		"no answer for too long": {fmt.Errorf("dial: %w", context.DeadlineExceeded), false},
	} {
		p := Prober{URLs: []string{"nats://a"}, Dial: func(context.Context, string, string) (net.Conn, error) {
			if tt.err != nil {
				return nil, tt.err
			}
			mine, _ := net.Pipe()
			return mine, nil
		}}
		if got := p.Answers(t.Context()); got != tt.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestOneOfManyIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var asked []string
		p := Prober{
			URLs: []string{"nats://a", "tls://b:1", "ws://c", "wss://d", "http://e", "https://[::1]/cache", "https://g:8443", "/nowhere", "gopher://h"},
			Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
				mu.Lock()
				asked = append(asked, address)
				mu.Unlock()
				if address == "g:8443" {
					return nil, syscall.ECONNREFUSED
				}
				<-ctx.Done()
				return nil, ctx.Err()
			},
		}
		began := time.Now()
		if !p.Answers(t.Context()) {
			t.Error("nobody answers")
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("waited %s for the others", waited)
		}
		slices.Sort(asked)
		if want := []string{"[::1]:443", "a:4222", "b:1", "c:80", "d:443", "e:80", "g:8443"}; !slices.Equal(asked, want) {
			t.Errorf("asked %q, want %q", asked, want)
		}
		p.URLs = p.URLs[:5]
		if p.Answers(t.Context()) {
			t.Error("somebody answers who says nothing")
		}
		if waited := time.Since(began); waited != defaultTimeout {
			t.Errorf("waited %s, want %s", waited, defaultTimeout)
		}
	})
}

func TestAnswersOfRealSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := Prober{URLs: []string{"nats://" + l.Addr().String()}, Timeout: time.Minute}
	if !p.Answers(t.Context()) {
		t.Error("who listens does not answer")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !p.Answers(t.Context()) {
		t.Error("a refusal is no answer")
	}
}
