package command

import (
	"bufio"
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

func TestNothingOfAGroupOutlivesItsContext(t *testing.T) {
	superseded := errors.New("superseded")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	// Both processes are deaf, and say so when they are.
	cmd := New(ctx, 10*time.Millisecond, "sh", "-c", `trap "" TERM; sh -c 'trap "" TERM; echo deaf; sleep 600' & wait; sleep 600`)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd.Stdout = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(read)
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel(superseded)
	code, why := Ended(ctx, cmd, cmd.Wait())
	if code != -1 || !errors.Is(why, superseded) {
		t.Errorf("ended with %d, %v; want -1, %v", code, why, superseded)
	}
	if _, err := out.ReadByte(); err == nil { // the end comes when nobody can write any more
		t.Error("a process of the group wrote something")
	}
}

func TestEnded(t *testing.T) {
	for name, tt := range map[string]struct {
		argv []string
		want int
	}{
		"by itself":             {[]string{"sh", "-c", "exit 3"}, 3},
		"by a signal":           {[]string{"sh", "-c", "kill -9 $$"}, -1},
		"before it was started": {[]string{"/does/not/exist"}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := New(t.Context(), time.Second, tt.argv...)
			err := cmd.Run()
			if code, why := Ended(t.Context(), cmd, err); code != tt.want || !errors.Is(why, err) || err == nil {
				t.Errorf("got %d, %v; want %d, %v", code, why, tt.want, err)
			}
		})
	}
}

func TestTailKeepsTheLastWholeLines(t *testing.T) {
	tail := Tail{Limit: 10}
	for _, s := range []string{"first line\n", "second\n", "third\n"} {
		if n, err := tail.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
	}
	if got, want := tail.String(), "third\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
