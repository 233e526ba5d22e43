package systemd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// silentLink is a connection to one that lets in everybody, answers once, and never again:
// as a systemd that crashed, and froze, does.
func silentLink(t *testing.T) *link {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "private"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return // the test is over
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for line := ""; line != "BEGIN"; {
			if line, err = in.ReadString('\n'); err != nil {
				return
			}
			line = strings.Trim(line, "\x00\r\n")
			switch word, _, _ := strings.Cut(line, " "); {
			case line == "AUTH":
				_, _ = io.WriteString(conn, "REJECTED EXTERNAL\r\n")
			case word == "AUTH":
				_, _ = io.WriteString(conn, "DATA \r\n") // it is to say more
			case word == "DATA":
				_, _ = io.WriteString(conn, "OK 0123456789abcdef0123456789abcdef\r\n")
			case word == "NEGOTIATE_UNIX_FD":
				_, _ = io.WriteString(conn, "AGREE_UNIX_FD\r\n")
			}
		}
		match, err := godbus.DecodeMessage(in) // go-systemd waits for the answer to its first call
		if err != nil {
			return
		}
		_ = (&godbus.Message{Type: godbus.TypeMethodReply, Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldReplySerial: godbus.MakeVariant(match.Serial()),
		}}).EncodeTo(conn, binary.LittleEndian)
		_, _ = io.Copy(io.Discard, in)
	}()
	lifetime, end := context.WithCancel(t.Context())
	socket, err := godbus.Dial("unix:path="+listener.Addr().String(), godbus.WithContext(lifetime))
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.Auth([]godbus.Auth{godbus.AuthExternal("0")}); err != nil {
		t.Fatal(err)
	}
	conn, err := dbus.NewConnection(func() (*godbus.Conn, error) { return socket, nil })
	if err != nil {
		t.Fatal(err)
	}
	l := &link{Conn: conn, end: end}
	t.Cleanup(l.close)
	return l
}

// Nothing that is asked of a systemd which does not answer takes longer than it may.
func TestASilentSystemdIsNotWaitedForForEver(t *testing.T) {
	for name, ask := range map[string]func(c *Client, ctx context.Context) error{
		"AwaitBoot": (*Client).AwaitBoot,
		"GoingDown": func(c *Client, ctx context.Context) error { _, err := c.GoingDown(ctx); return err },
		"Troubled":  func(c *Client, ctx context.Context) error { _, err := c.Troubled(ctx); return err },
		"Unit":      func(c *Client, ctx context.Context) error { _, err := c.Unit(ctx, "app.service"); return err },
		"StartUnit": func(c *Client, ctx context.Context) error { return c.StartUnit(ctx, "app.service") },
		"reboot":    (*Client).StartReboot,
	} {
		t.Run(name, func(t *testing.T) {
			c := Client{CallTimeout: 20 * time.Millisecond, kept: silentLink(t)}
			tooLong := errors.New("too long")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, tooLong)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- ask(&c, ctx) }()
			select {
			case err := <-done:
				if err == nil {
					t.Error("got an answer")
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it waits for ever")
			}
		})
	}
}

// TestWhoIsToRebootAndIsSilentIsNoRefusal: nor who cannot be reached.
func TestWhoIsToRebootAndIsSilentIsNoRefusal(t *testing.T) {
	silent := Client{CallTimeout: 20 * time.Millisecond, kept: silentLink(t)}
	if err := silent.StartReboot(t.Context()); !errors.Is(err, ErrUnanswered) {
		t.Errorf("silent: %v, want %v", err, ErrUnanswered)
	}
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"refused":       {fmt.Errorf("start: %w", godbus.Error{Name: "org.freedesktop.DBus.Error.AccessDenied"}), false},
		"not reachable": {fmt.Errorf("dial: %w", unix.ECONNREFUSED), true},
		"well":          {nil, false},
	} {
		if err := unanswered(t.Context(), tt.err); errors.Is(err, ErrUnanswered) != tt.want || (err == nil) != (tt.err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := unanswered(ctx, context.Canceled); errors.Is(err, ErrUnanswered) {
		t.Errorf("given up by the caller: %v", err)
	}
}
