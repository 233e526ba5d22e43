package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

func TestUnits(t *testing.T) {
	units := Units{
		{Name: "a.service", LoadState: "loaded", ActiveState: Active, SubState: "running"},
		{Name: "b.service", LoadState: "loaded", ActiveState: Failed, SubState: "failed"},
		{Name: "c.mount", LoadState: "not-found", ActiveState: Failed, SubState: "failed"},
		{Name: "d.service", LoadState: "loaded", ActiveState: Activating, SubState: "auto-restart"},
	}
	if u, ok := units.Find("d.service"); !ok || !u.AutoRestarting() || !u.Loaded() {
		t.Errorf("find d.service: got %+v, %v", u, ok)
	}
	if u, ok := units.Find("c.mount"); !ok || u.AutoRestarting() || u.Loaded() {
		t.Errorf("find c.mount: got %+v, %v", u, ok)
	}
	if u, ok := units.Find("e.service"); ok {
		t.Errorf("find e.service: got %+v", u)
	}
}

func TestBegan(t *testing.T) {
	never := time.Time{}
	for _, tt := range []struct {
		name          string
		left, started uint64
		want          time.Time
	}{
		{"never", 0, 0, never},
		{"no service", 7, 0, time.UnixMicro(7)},
		{"with something before its main process", 7, 9, time.UnixMicro(7)},
		{"waits to be started again", 9, 7, time.UnixMicro(7)},
		{"systemd does not know when", 0, 7, time.UnixMicro(7)},
	} {
		if got := began(tt.left, tt.started); !got.Equal(tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestStartTransientRefusesWhatCannotBeAUnit(t *testing.T) {
	for name, u := range map[string]TransientUnit{
		"no service": {Name: "a.scope", ExecStart: []string{"/bin/true"}},
		"no program": {Name: "a.service"},
	} {
		if err := (&Client{}).StartTransient(t.Context(), u); err == nil || !strings.Contains(err.Error(), "start transient unit") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestErrorsOfSystemdAreTold(t *testing.T) {
	err := fmt.Errorf("start: %w", godbus.Error{Name: errorUnitExists})
	if !isError(err, errorUnitExists) || isError(err, errorNoSuchUnit) || isError(nil, errorUnitExists) {
		t.Errorf("%v is taken for another error", err)
	}
}

func TestEveryCallThatFailsSaysWhatItWas(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // so that they fail also where there is a systemd
	c := &Client{}
	_, failed := c.Failing(ctx)
	_, unit := c.Unit(ctx, "a.service")
	for want, err := range map[string]error{
		"list failed units":  failed,
		"get unit a.service": unit,
		"start a.service":    c.StartUnit(ctx, "a.service"),
		"restart a.service":  c.RestartUnit(ctx, "a.service"),
		"stop a.service":     c.StopUnit(ctx, "a.service"),
		"reset a.service":    c.ResetFailed(ctx, "a.service"),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("got %v, want prefix %q", err, want)
		}
	}
}

func TestAwaitUnitReportsWhyItNeverSawTheUnit(t *testing.T) {
	_, absent := os.Stat("/run/systemd/private") // nil where there is a systemd
	synctest.Test(t, func(t *testing.T) {        // no time passes while a question is asked
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := (&Client{}).AwaitUnit(ctx, "kedge-test-absent.service", func(Unit) bool { return false })
		var ae *AwaitError
		if !errors.As(err, &ae) || !errors.Is(err, context.DeadlineExceeded) || absent != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}
