//go:build e2e

package e2e_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
)

// tidyConfig keeps two generations, and as little else as can be.
const tidyConfig = `generations: {keep: 2}
gc: {enable: true, min_free: 1152921504606846976, max_free: 1152921504606846976}
log:
`

// garbageBytes is, together with freeBytes, enough for the big one.
const garbageBytes = 64 << 20

// TestTransactionGenerations: after a commit the old generations, their boot entries and
// what they kept in the store go, but not what was booted or what could be gone
// back to; and a fetch that lacks room gets it from garbage.
func TestTransactionGenerations(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Hosts: []string{"web1"}, DiskBytes: diskBytes})
	h := f.Host("web1")
	booted := h.MustFacts(t)
	commit(t, f, "config", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.Config("log:\n", tidyConfig))
		fleet.Edit(w, fleet.App("1"))
	})
	facts := []fleet.Facts{requireOn(t, h, "1")}
	for _, app := range []string{"2", "3", "4"} {
		commit(t, f, app, func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App(app)) })
		facts = append(facts, requireOn(t, h, app))
	}
	awaitCollected(t, h, facts[1].Current)
	requireGenerations(t, h, booted.Generation, facts[2].Generation, facts[3].Generation)
	if got := requireOn(t, h, "4"); got != facts[3] {
		t.Errorf("the host is not as it was: %+v, was %+v", got, facts[3])
	}
	awaitCollected(t, h, facts[0].Current)
	h.MustRun(t, "nix-store", "--query", "--requisites", booted.Current, facts[2].Current, facts[3].Current) // fails for what is gone

	garbage := strings.TrimSpace(h.MustRun(t, "sh", "-c", `head -c $1 /dev/urandom > /var/garbage && nix-store --add /var/garbage && rm /var/garbage`, "garbage", strconv.Itoa(garbageBytes)))
	big := addBig(t, f)
	fill(t, h)
	commit(t, f, "big", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("big"))
		fleet.Edit(w, func(h *toplevel.Host) { h.Packages = append(h.Packages, big) })
	})
	last := requireOn(t, h, "big")
	awaitCollected(t, h, garbage)
	awaitCollected(t, h, facts[2].Current)
	requireGenerations(t, h, booted.Generation, facts[3].Generation, last.Generation)
	h.MustRun(t, "nix-store", "--query", "--requisites", booted.Current, facts[3].Current, last.Current)
}

// awaitCollected waits until a path is gone from the host's store.
func awaitCollected(t *testing.T, h *fleet.Host, path string) {
	t.Helper()
	h.MustRun(t, "sh", "-c", `while test -e "$0"; do sleep 0.05; done`, path)
}

// requireGenerations fails unless these are the host's, as links of the system
// profile and as boot entries.
func requireGenerations(t *testing.T, h *fleet.Host, links ...string) {
	t.Helper()
	got := strings.Fields(h.MustRun(t, "sh", "-c", "cd /nix/var/nix/profiles && ls -d system-*-link"))
	slices.Sort(links)
	if slices.Sort(got); !slices.Equal(got, links) {
		t.Errorf("%s has the generations %q, want %q", h.Name(), got, links)
	}
	var entries []string
	for _, link := range links {
		number := strings.TrimSuffix(strings.TrimPrefix(link, "system-"), "-link")
		entries = append(entries, "nixos-generation-"+number+".conf")
	}
	got = strings.Fields(h.MustRun(t, "ls", "/boot/loader/entries"))
	slices.Sort(entries)
	if slices.Sort(got); !slices.Equal(got, entries) {
		t.Errorf("%s has the boot entries %q, want %q", h.Name(), got, entries)
	}
}
