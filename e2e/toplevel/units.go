package toplevel

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// A Unit is a unit as in NixOS's systemd.services, or its Text as it is.
type Unit struct {
	Text string `json:"text,omitempty"` // the whole unit file; all other fields but WantedBy and RequiredBy are then ignored

	Description   string            `json:"description,omitempty"`
	After         []string          `json:"after,omitempty"`
	Before        []string          `json:"before,omitempty"`
	Wants         []string          `json:"wants,omitempty"`
	Requires      []string          `json:"requires,omitempty"`
	UnitConfig    map[string]any    `json:"unitConfig,omitempty"`
	ServiceConfig map[string]any    `json:"serviceConfig,omitempty"`
	SocketConfig  map[string]any    `json:"socketConfig,omitempty"`
	TimerConfig   map[string]any    `json:"timerConfig,omitempty"`
	Environment   map[string]string `json:"environment,omitempty"`

	ReloadIfChanged  *bool `json:"reloadIfChanged,omitempty"`
	RestartIfChanged *bool `json:"restartIfChanged,omitempty"`
	StopIfChanged    *bool `json:"stopIfChanged,omitempty"`

	WantedBy   []string `json:"wantedBy,omitempty"`
	RequiredBy []string `json:"requiredBy,omitempty"`
}

// service is a unit of multi-user.target that runs a shell script.
func service(description, script string, config map[string]any) Unit {
	sc := map[string]any{"ExecStart": shell(script)}
	maps.Copy(sc, config)
	return Unit{Description: description, WantedBy: []string{"multi-user.target"}, ServiceConfig: sc}
}

// shell is a command line that runs script.
func shell(script string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$", "\n", "; ")
	return fmt.Sprintf(`/bin/sh -c "%s"`, escape.Replace(script))
}

// echo is a script that prints the lines.
func echo(lines []string) string {
	var script strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&script, "echo '%s'; ", strings.ReplaceAll(line, "'", `'\''`))
	}
	return script.String()
}

// seconds is d as sleep takes it.
func seconds(d time.Duration) string { return fmt.Sprintf("%g", d.Seconds()) }

// Sleeps is a service that runs and does nothing. Another mark makes it a changed service.
func Sleeps(mark string) Unit {
	u := service("Does nothing", "exec sleep infinity", nil)
	u.Environment = map[string]string{"MARK": mark}
	return u
}

// FailsToStart is a service whose start job fails, after it has written the lines to the journal: a
// switch ends with 4.
func FailsToStart(lines ...string) Unit {
	return service("Fails to start", echo(lines)+"exit 1", map[string]any{"Type": "oneshot"})
}

// ExitsAtOnce is a simple service that starts and exits with status 1: its start job succeeds.
func ExitsAtOnce(lines ...string) Unit {
	return service("Exits at once", echo(lines)+"exit 1", nil)
}

// DiesAfter is a service that dies some time after its start, and stays dead.
func DiesAfter(d time.Duration, lines ...string) Unit {
	return service("Dies later", "sleep "+seconds(d)+"; "+echo(lines)+"exit 1", nil)
}

// Flaps is a service that dies after a while and is started again after a pause, for ever.
func Flaps(after, pause time.Duration, lines ...string) Unit {
	u := service("Dies again and again", echo(lines)+"sleep "+seconds(after)+"; exit 1", map[string]any{
		"Restart": "always", "RestartSec": seconds(pause),
	})
	u.UnitConfig = map[string]any{"StartLimitIntervalSec": 0}
	return u
}

// StartsSlowly is a service whose start job takes d. A switch waits for it.
func StartsSlowly(d time.Duration) Unit {
	return service("Starts slowly", "exec sleep infinity", map[string]any{
		"ExecStartPre": shell("sleep " + seconds(d)), "TimeoutStartSec": "infinity",
	})
}

// StartsWithout is a service whose start job waits for as long as there is a file.
func StartsWithout(file string) Unit {
	return service("Starts without a file", "exec sleep infinity", map[string]any{
		"ExecStartPre": shell("while test -e " + file + "; do sleep 0.1; done"), "TimeoutStartSec": "infinity",
	})
}

// IgnoresStop is a service that ignores SIGTERM and is killed after d. A switch that stops it waits.
func IgnoresStop(d time.Duration) Unit {
	return service("Ignores SIGTERM", "trap '' TERM; while :; do sleep 1; done", map[string]any{
		"TimeoutStopSec": seconds(d), "KillMode": "mixed",
	})
}
