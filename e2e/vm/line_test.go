package vm

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"kedge/e2e/hosts"
	"kedge/e2e/vm/guest"
)

// newOn returns a computer that is on, and the end of its line that the program in it has.
func newOn(t *testing.T) (*Computer, net.Conn) {
	t.Helper()
	c := &Computer{
		options: Options{Machine: &hosts.Machine{}, Log: slog.New(slog.DiscardHandler)},
		dir:     t.TempDir(),
		changed: make(chan struct{}),
	}
	listener, err := net.Listen("unix", filepath.Join(c.dir, "line")) //nolint:noctx // nothing waits for it
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.listen(listener)
	}()
	there, err := net.Dial("unix", listener.Addr().String()) //nolint:noctx // likewise
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = there.Close() // nothing was written that anybody waits for
		<-ended
	})
	return c, there
}

// say writes to the harness.
func say(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

// boot says the first word of a boot and waits until it was heard.
func boot(t *testing.T, c *Computer, there net.Conn, id string, n int) {
	t.Helper()
	say(t, there, "\n{\"boot\":\""+id+"\",\"id\":0}\n")
	for c.Boots() < n {
		c.mu.Lock()
		changed := c.changed
		heard := len(c.boots)
		c.mu.Unlock()
		if heard < n {
			<-changed
		}
	}
}

func TestRunBeforeTheFirstBoot(t *testing.T) {
	c, _ := newOn(t)
	if _, err := c.Run(t.Context(), "true"); !errors.Is(err, ErrOff) {
		t.Errorf("Run = %v, want %v", err, ErrOff)
	}
}

func TestRun(t *testing.T) {
	c, there := newOn(t)
	say(t, there, `{"boot":"b1","id":0}{"boot":"b1`) // torn by a reset
	boot(t, c, there, "b2", 1)
	go func() {
		var r guest.Request
		if text, err := bufio.NewReader(there).ReadBytes('\n'); err != nil || json.Unmarshal(text, &r) != nil || r.Boot != "b2" {
			t.Errorf("asked %s, %v", text, err)
		}
		answer, _ := json.Marshal(guest.Reply{Boot: r.Boot, ID: r.ID, Stdout: []byte("hello\n")}) // cannot fail
		_, _ = there.Write(append(answer, '\n'))                                                  // else Run does not return
	}()
	if out, err := c.Run(t.Context(), "echo", "hello"); err != nil || out != "hello\n" {
		t.Errorf("Run = %q, %v", out, err)
	}
}

func TestRunOfABootThatEnds(t *testing.T) {
	c, there := newOn(t)
	boot(t, c, there, "b1", 1)
	go func() {
		if _, err := bufio.NewReader(there).ReadBytes('\n'); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(there, "\n{\"boot\":\"b2\",\"id\":0}\n") // else Run does not return
	}()
	if _, err := c.Run(t.Context(), "reboot"); !errors.Is(err, ErrRebooted) {
		t.Errorf("Run = %v, want %v", err, ErrRebooted)
	}
	boot(t, c, there, "b2", 2) // said again by the same boot
	boot(t, c, there, "b3", 3)
	if got := c.Boots(); got != 3 {
		t.Errorf("Boots = %d, want 3", got)
	}
}

func TestVariableText(t *testing.T) {
	got := variableText([]byte("\x06\x00\x00\x00a\x00.\x00c\x00\x00\x00"))
	if got != "a.c" {
		t.Errorf("variableText = %q, want a.c", got)
	}
	if got := variableText(nil); got != "" {
		t.Errorf("variableText of nothing = %q", got)
	}
}

func TestLastWordsAreTheEnd(t *testing.T) {
	c := &Computer{dir: t.TempDir()}
	long := make([]byte, shownBytes+1)
	long[0] = 'x'
	if err := os.WriteFile(c.Console(), long, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := c.lastWords(); len(got) != shownBytes || got[0] == 'x' {
		t.Errorf("lastWords has %d bytes, the first is %q", len(got), got[0])
	}
}
