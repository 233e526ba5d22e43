//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// A checked is a system with one declared check, and what becomes of it.
type checked struct {
	host  string // the host that tries it
	check string // all but its name, in YAML's flow style
	end   end
	says  string // in the result of the check; it passed if that is empty
}

// worksFile is there before the activation, and not after.
const worksFile = "/var/lib/works"

func checkedSystems() []checked {
	good, bad := end{proto.PhaseCommitted, ""}, end{proto.PhaseRolledBack, proto.ReasonCheckFailed}
	app := fmt.Sprintf("http://127.0.0.1:%d/", toplevel.DefaultAppPort)
	return []checked{
		{"http-good", "required: true, http: {url: '" + app + "', body: ^after}", good, ""},
		{"http-bad", "required: true, retries: 3, http: {url: '" + app + "', body: frobnicated}", bad, `body does not match "frobnicated": "after`},
		{"tcp-bad", "required: true, retries: 3, tcp: '127.0.0.1:1'", bad, "connection refused"},
		{"exec-bad", "required: true, retries: 3, exec: [/bin/sh, -c, 'echo out of frobnicators; exit 3']", bad, "exit status 3: out of frobnicators"},
		{"exec-good", `required: true, exec: [/bin/sh, -c, 'test "$(/usr/bin/readlink /run/current-system)" = "$KEDGE_TOPLEVEL"']`, good, ""},
		{"lost", "exec: [/bin/sh, -c, 'test -e " + worksFile + "']", bad, "exit status 1 (passed before)"},
		{"never", "tcp: '127.0.0.1:1'", good, "connection refused (not required, failed before too)"},
	}
}

// TestTransactionChecks is the way of systems that declare checks of each kind.
func TestTransactionChecks(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range checkedSystems() {
		names = append(names, c.host)
	}
	f := upWith(t, fleet.Options{Hosts: names, Deadline: 20 * time.Second})
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := map[string]fleet.Facts{}
	for _, h := range f.Hosts() {
		h.MustRun(t, "touch", worksFile)
		before[h.Name()] = requireOn(t, h, "before")
	}

	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		fleet.Edit(w, func(h *toplevel.Host) { h.Activation = map[string]string{"break": "rm -f " + worksFile} })
		for _, c := range checkedSystems() {
			fleet.Edit(w, fleet.Config("probation:\n", "probation:\n  checks: [{name: works, "+c.check+"}]\n"), c.host)
		}
	})
	for _, c := range checkedSystems() {
		h := f.Host(c.host)
		d := requireEnd(t, h, rev, c.end.phase, c.end.reason)
		if len(d.Checks) != 1 || d.Checks[0].Name != "works" || d.Checks[0].Passed != (c.says == "") || d.Checks[0].Time.IsZero() {
			t.Errorf("%s: the results are %+v, want one of works", c.host, d.Checks)
			continue
		}
		requireSays(t, c.host+"'s result", d.Checks[0].Message, c.says)
		passed := "0"
		if c.says == "" {
			passed = "1"
		}
		requireSays(t, c.host+"'s metrics", h.MustRun(t, "curl", "-fsS", "http://127.0.0.1:9417/metrics"),
			`kedge_agent_check_passed{check="works"} `+passed)
		if c.end.phase == proto.PhaseCommitted {
			requireOn(t, h, "after")
		} else {
			requireSays(t, c.host+"'s message", d.Message, "check works: ", c.says)
			requireSame(t, h, before[c.host])
		}
	}
	f.Host("never").MustAwaitEvent(t, "the failure that is only reported", func(e proto.Event) bool {
		return e.Revision == rev && e.Phase == proto.PhaseCommitting && strings.Contains(e.Message, "failed before too")
	})
	requireSays(t, "kedge status", f.MustKedge(t, "status", "exec-bad"), "Check works", "failed, required", "out of frobnicators")
}
