package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/transaction"
	"kedge/internal/durable"
	"kedge/proto"
)

var errDisk = errors.New("no space left on device")

// supersedes is a host on which every fetched deployment is overtaken by a
// third party: the shortest way that a transaction can go.
type supersedes struct{ transaction.Host }

func (supersedes) BootID() (string, error) { return "", nil }

func (supersedes) Systems() (proto.Systems, error) { return proto.Systems{}, nil }

func (supersedes) Bless(context.Context) error { return nil }

func (supersedes) Uptime() (time.Duration, error) { return time.Hour, nil }

// comesUp is a host in the middle of a boot.
type comesUp struct {
	supersedes
	up time.Duration
}

func (c *comesUp) Uptime() (time.Duration, error) { return c.up, nil }

func (c *comesUp) AwaitBoot(context.Context) error {
	c.up = max(c.up, time.Minute) // when the boot ends
	return nil
}

// A failingStore fails to save some times.
type failingStore struct {
	transaction.Store
	failures int
	record   deployment.Deployment
}

func (s *failingStore) Unguard() error { return nil }

func (s *failingStore) Save(d deployment.Deployment) error {
	if s.failures > 0 {
		s.failures--
		return errDisk
	}
	s.record = d
	return nil
}

func TestSettling(t *testing.T) {
	path := func(s string) proto.StorePath {
		p, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-" + s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	fetched := deployment.Deployment{
		ID: "7-x", Serial: 7, Toplevel: path("new"), Proven: deployment.Proven{Toplevel: path("old")}, Phase: proto.PhaseFetched,
	}
	accepted, other := fetched, fetched
	accepted.Phase, other.ID = proto.PhaseAccepted, "8-y"
	begun := fetched
	begun.Phase = proto.PhaseActivating
	for _, tt := range []struct {
		name     string
		record   deployment.Deployment
		readErr  error
		failures int
		stopped  bool
		want     proto.Phase // on the disk
		wantErr  error
	}{
		{"settles its deployment", fetched, nil, 0, false, proto.PhaseSuperseded, nil},
		{"tries again until it can", begun, nil, 30, false, proto.PhaseSuperseded, nil},
		{"tries again to begin", fetched, nil, stuckTries - 1, false, proto.PhaseSuperseded, nil},
		{"leaves to the agent what it cannot begin", fetched, nil, stuckTries, false, proto.PhaseFetched, nil},
		{"leaves another deployment to its own unit", other, nil, 0, false, proto.PhaseFetched, nil},
		{"leaves alone what is not fetched", accepted, nil, 0, false, proto.PhaseAccepted, nil},
		{"leaves alone what it cannot read", fetched, &durable.CorruptError{Err: errDisk}, 0, false, proto.PhaseFetched, nil},
		{"leaves alone what a newer version wrote", fetched, &durable.FormatError{Got: 2, Newest: 1}, 0, false, proto.PhaseFetched, nil},
		{"asks to be started again if it is stopped before the end", begun, nil, 1000, true, proto.PhaseActivating, ErrUnsettled},
		{"also while the disk cannot be read", fetched, fs.ErrPermission, 0, true, proto.PhaseFetched, ErrUnsettled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			store := &failingStore{failures: tt.failures, record: tt.record}
			s := settling{
				options: transaction.Options{Host: supersedes{}, Store: store, Log: slog.New(slog.DiscardHandler)},
				read:    func() (deployment.Deployment, error) { return store.record, tt.readErr },
				only:    "7-x",
				told:    statefile.Dir{Runtime: t.TempDir()},
				pause: func(_ proto.Phase, n int) time.Duration {
					if tt.stopped && n == 3 {
						stop()
					}
					return time.Duration(n)
				},
			}
			if err := s.run(ctx); !errors.Is(err, tt.wantErr) || (err == nil) != (tt.wantErr == nil) {
				t.Errorf("run = %v, want %v", err, tt.wantErr)
			}
			if store.record.Phase != tt.want {
				t.Errorf("the record is %s, want %s", store.record.Phase, tt.want)
			}
		})
	}
	t.Run("leaves to the agent what waited for the end of the boot", func(t *testing.T) {
		d := fetched
		d.Boots.Timeout = 10 * time.Minute
		store := &failingStore{record: d}
		s := settling{
			options: transaction.Options{Host: &comesUp{}, Store: store, Log: slog.New(slog.DiscardHandler)},
			read:    func() (deployment.Deployment, error) { return store.record, nil },
			only:    "7-x",
			told:    statefile.Dir{Runtime: t.TempDir()},
		}
		for _, want := range []proto.Phase{proto.PhaseFetched, proto.PhaseSuperseded} {
			if err := s.run(t.Context()); err != nil || store.record.Phase != want {
				t.Errorf("run = %v, and the record is %s, want %s", err, store.record.Phase, want)
			}
		}
	})
	t.Run("early in a boot begins nothing", func(t *testing.T) {
		for _, d := range []deployment.Deployment{fetched, begun} {
			store := &failingStore{record: d}
			s := settling{
				options: transaction.Options{Host: supersedes{}, Store: store, Log: slog.New(slog.DiscardHandler)},
				read:    func() (deployment.Deployment, error) { return store.record, nil },
				told:    statefile.Dir{Runtime: t.TempDir()},
			}
			if err := s.run(t.Context()); err != nil {
				t.Errorf("run = %v", err)
			}
			if begins := store.record.Phase != d.Phase; begins != d.InTransaction() {
				t.Errorf("the record was %s and is %s", d.Phase, store.record.Phase)
			}
		}
	})
}

// TestATransactionThatCannotGoOnIsTold has one fail for long, and then come to its end.
func TestATransactionThatCannotGoOnIsTold(t *testing.T) {
	old, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-old")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		files := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
		store := &failingStore{failures: 20, record: deployment.Deployment{ID: "7-x", Phase: proto.PhaseActivating, Proven: deployment.Proven{Toplevel: old}}}
		s := settling{
			options: transaction.Options{Host: supersedes{}, Store: store, Log: slog.New(slog.DiscardHandler)},
			read:    func() (deployment.Deployment, error) { return store.record, nil },
			pause:   transactPauses,
			told:    files,
		}
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- s.run(t.Context()) }()
		time.Sleep(time.Minute)
		c := stuck(read(t, files.Stuck))
		if c.Status != proto.StatusTrue || c.Reason != proto.ReasonStuck || !c.Since.Equal(began) || !strings.Contains(c.Message, errDisk.Error()) {
			t.Errorf("meanwhile it is %+v", c)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if c := stuck(read(t, files.Stuck)); c.Status != proto.StatusFalse {
			t.Errorf("after it, it is %+v", c)
		}
	})
}

// TestWhatCannotBeginIsTold: as long as it is what the record is about, and no longer.
func TestWhatCannotBeginIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-old")
		if err != nil {
			t.Fatal(err)
		}
		files := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
		d := deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: old, Phase: proto.PhaseFetched, Proven: deployment.Proven{Toplevel: old}}
		store := &failingStore{failures: 1000, record: d}
		s := settling{
			options: transaction.Options{Host: supersedes{}, Store: store, Log: slog.New(slog.DiscardHandler)},
			read:    func() (deployment.Deployment, error) { return store.record, nil },
			only:    d.ID,
			pause:   transactPauses,
			told:    files,
		}
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for phase, want := range map[proto.Phase]proto.ConditionStatus{proto.PhaseFetched: proto.StatusTrue, proto.PhaseSuperseded: proto.StatusFalse} {
			d.Phase = phase
			if err := files.Save(d); err != nil {
				t.Fatal(err)
			}
			seen := readDisk(files, func() (proto.Systems, error) { return proto.Systems{}, nil }, time.Now())
			if c := stuck(seen.stuck); c.Status != want {
				t.Errorf("with the record %s it is %+v, want %s", phase, c, want)
			}
		}
	})
}

func read[T any](t *testing.T, f func() (T, error)) T {
	t.Helper()
	v, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestWhatIsDecidedIsTriedSlowly: what was committed runs, and nothing else is in a hurry.
func TestWhatIsDecidedIsTriedSlowly(t *testing.T) {
	for phase, want := range map[proto.Phase]time.Duration{proto.PhaseCommitting: 5 * time.Minute, proto.PhaseRollingBack: 30 * time.Second} {
		if got := transactPauses(phase, 100); got != want {
			t.Errorf("%s: pauses %s, want %s", phase, got, want)
		}
		if got := transactPauses(phase, 1); got != time.Second {
			t.Errorf("%s: pauses %s at first", phase, got)
		}
	}
}

// TestWhoHasTheRecordIsWaitedFor takes the lock away from a transaction, and gives it
// back.
func TestWhoHasTheRecordIsWaitedFor(t *testing.T) {
	files := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
	held, err := files.LockTransaction()
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 10)
	got := make(chan error, 1)
	go func() {
		lock, err := awaitLock(t.Context(), files, slog.New(slog.NewTextHandler(tells(said), nil)))
		if err == nil {
			err = lock.Unlock()
		}
		got <- err
	}()
	select {
	case text := <-said:
		if !strings.Contains(text, fmt.Sprintf("process %d", os.Getpid())) {
			t.Errorf("said %q, want who has it", text)
		}
	case err := <-got:
		t.Fatalf("it did not wait: %v", err)
	}
	if err := held.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	if len(said) > 0 {
		t.Errorf("then it said %q", <-said)
	}

	held, err = files.LockTransaction()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := awaitLock(ctx, files, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrUnsettled) {
		t.Errorf("asked to leave: %v, want %v", err, ErrUnsettled)
	}
}

// tells is a log, each line of which is sent.
type tells chan string

// Write implements io.Writer.
func (c tells) Write(p []byte) (int, error) {
	c <- string(p)
	return len(p), nil
}
