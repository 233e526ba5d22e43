package command

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/e2e/unkillable"
)

func TestMain(m *testing.M) {
	if unkillable.Hold() {
		return
	}
	os.Exit(m.Run())
}

func TestWhatCannotBeKilledIsLeftBehind(t *testing.T) {
	superseded := errors.New("superseded")
	script, held := unkillable.Script(t)
	ctx := unkillable.Context(t, held, superseded)
	said := Tail{Limit: 100}
	cmd := New(ctx, 10*time.Millisecond, "sh", "-c", script)
	cmd.Stdout, cmd.Stderr = &said, &said
	code, why := Ended(ctx, cmd, Run(ctx, cmd))
	if code != -1 || !errors.Is(why, superseded) || !errors.Is(why, errStuck) || !strings.HasPrefix(why.Error(), "superseded; process ") {
		t.Errorf("ended with %d, %v; said %q", code, why, said.String())
	}
}

func TestWhatIsKilledHasLittleTime(t *testing.T) {
	for name, tt := range map[string]struct {
		endsAfter, took time.Duration // endsAfter its context; zero is never
		want            error
	}{
		"it does not end":           {0, time.Minute + killPatience, errStuck},
		"it ends when it is told":   {time.Second, time.Second, nil},
		"it ends when it is killed": {time.Minute + killPatience/2, time.Minute + killPatience/2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				ended := make(chan error, 1)
				if tt.endsAfter > 0 {
					time.AfterFunc(time.Hour+tt.endsAfter, func() { ended <- nil })
				}
				began := time.Now()
				if err := await(ctx, time.Minute, ended); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if took := time.Since(began); took != time.Hour+tt.took {
					t.Errorf("it was waited for for %v after an hour", took-time.Hour)
				}
			})
		})
	}
}
