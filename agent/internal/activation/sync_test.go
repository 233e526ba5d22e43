package activation

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestADiskThatDoesNotAnswerIsNotSyncedForEver(t *testing.T) {
	const limit = time.Hour
	for _, tt := range []struct {
		name, hangs string
		took        time.Duration
		err         error
		logged      string
	}{
		{"nobody's", "", 0, nil, ""},
		{"somebody's", "/data", syncPatience, nil, "dir=/data"},
		{"that of the boot partition", "/boot", limit, context.DeadlineExceeded, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			dead := make(chan struct{})
			defer close(dead)
			var log bytes.Buffer
			r := Runner{Log: slog.New(slog.NewTextHandler(&log, nil))}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			began, last := time.Now(), make(chan string, 1)
			err := r.syncEach(ctx, []string{"/boot"}, []string{"/", "/data", "/mnt"}, func(dir string) error {
				if dir == tt.hangs {
					<-dead
				}
				if dir == "/mnt" {
					last <- dir
				}
				return nil
			})
			if took := time.Since(began); took != tt.took {
				t.Errorf("%s: took %s, want %s", tt.name, took, tt.took)
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.err)
			}
			if tt.err == nil && (strings.Count(log.String(), "dir=") != strings.Count(tt.logged, "dir=") || !strings.Contains(log.String(), tt.logged)) {
				t.Errorf("%s: logged %q, want of %q alone", tt.name, log.String(), tt.logged)
			}
			synctest.Wait()
			if len(last) == 0 {
				t.Errorf("%s: the one after it was not synced", tt.name)
			}
		})
	}
}

func TestSetDefaultEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := make(chan struct{})
		defer close(dead)
		r := Runner{Sync: func() error {
			<-dead
			return nil
		}}
		began := time.Now()
		err := r.SetDefault(t.Context(), path(t, newPath))
		var failed *DefaultError
		if !errors.As(err, &failed) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a DefaultError that says so", err)
		}
		if took := time.Since(began); took != defaultTimeout {
			t.Errorf("it was waited for for %s", took)
		}
	})
}
