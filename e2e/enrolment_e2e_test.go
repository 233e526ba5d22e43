//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
)

// TestTrustEnrolment: a host that was revoked is out; with a token that it used itself
// it is back, and the token is of no more use. After all of that no secret is where it
// should not be.
func TestTrustEnrolment(t *testing.T) {
	t.Parallel()
	f := up(t, "web1")
	web1 := f.Host("web1")
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })

	f.MustKedge(t, "host", "revoke", "web1")
	requireSays(t, "the list of hosts", f.MustKedge(t, "host", "list"), "revoked")
	web1.MustRun(t, "sh", "-c", "for i in $(seq 60); do kedge-agent status | grep -q unreachable && exit; sleep 1; done; exit 1")

	token, hint := f.MustToken(t, "web1")
	if err := web1.WriteFile("/root/token", []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	enroll := append(hint, "--token-file", "/root/token")
	there := "cd /var/lib/kedge && " + strings.Join(enroll, " ") + " --out host.creds"
	requireSays(t, "what to trust", web1.MustRun(t, "sh", "-c", there), "release_keys:", "renew_urls:", `credentials_file: "/var/lib/kedge/host.creds"`)
	requireSays(t, "the audit", f.MustKedge(t, "audit"), "host-revoke web1", "host-token web1", "host-enroll web1")
	web1.MustRun(t, "sh", "-c", "! "+strings.Join(enroll, " ")) // with another key
	commit(t, f, "after", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("after")) })
	requireOn(t, web1, "after")

	requireNoSecrets(t, f, token)
}
