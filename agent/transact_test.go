package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"testing"
	"time"

	"kedge/agent/internal/deployment"
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
		{"tries again until it can", fetched, nil, 3, false, proto.PhaseSuperseded, nil},
		{"leaves another deployment to its own unit", other, nil, 0, false, proto.PhaseFetched, nil},
		{"leaves alone what is not fetched", accepted, nil, 0, false, proto.PhaseAccepted, nil},
		{"leaves alone what it cannot read", fetched, &durable.CorruptError{Err: errDisk}, 0, false, proto.PhaseFetched, nil},
		{"leaves alone what a newer version wrote", fetched, &durable.FormatError{Got: 2, Newest: 1}, 0, false, proto.PhaseFetched, nil},
		{"asks to be started again if it is stopped before the end", fetched, nil, 1000, true, proto.PhaseFetched, ErrUnsettled},
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
				pause: func(n int) time.Duration {
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
	t.Run("early in a boot begins nothing", func(t *testing.T) {
		for _, d := range []deployment.Deployment{fetched, begun} {
			store := &failingStore{record: d}
			s := settling{
				options: transaction.Options{Host: supersedes{}, Store: store, Log: slog.New(slog.DiscardHandler)},
				read:    func() (deployment.Deployment, error) { return store.record, nil },
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
