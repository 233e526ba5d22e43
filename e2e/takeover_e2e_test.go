//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/internal/command"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// secondController is the unit of another controller on the build host.
const secondController = "kedge-controller-b.service"

// TestTakeover: a controller that was alone gets a second one beside it, with NATS on its own; the one that leads is
// killed in the middle of a rollout, and the other one ends it. The first one then stands by.
func TestTakeover(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Hosts: []string{"web1", "web2"}, Plain: true})
	web1, web2 := f.Host("web1"), f.Host("web2")
	alone := commit(t, f, "alone", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("alone")) })
	before := requirePublished(t, web1, alone).Serial
	addController(t, f)

	rev := f.MustPush(t, "taken over", func(w *toplevel.Fleet) {
		w.Kedge = map[string]any{
			"hosts":   map[string]any{"web1": map[string]any{"tags": []string{"canary"}}},
			"rollout": map[string]any{"waves": []map[string]any{{"name": "canary", "hosts": "tag:canary"}, {"name": "others", "hosts": "web2"}}},
		}
		fleet.Edit(w, fleet.App("taken over"))
		fleet.Edit(w, fleet.AddUnit("slow.service", toplevel.StartsSlowly(slowStart)), "web1")
	})
	awaitStep(t, web1, rev, proto.PhaseActivating)
	requirePublished(t, web2, alone) // while the canary is under way
	f.MustRunOnBuild(t, "systemctl", "is-active", secondController)
	f.MustRunOnBuild(t, "systemctl", "kill", "--kill-whom=all", "--signal=KILL", fleet.ControllerUnit)
	for _, h := range f.Hosts() {
		h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireOn(t, h, "taken over")
		if now := requirePublished(t, h, rev).Serial; now != before+1 {
			t.Errorf("%s: was told serial %s, want %s: nothing twice, and nothing skipped", h.Name(), now, before+1)
		}
	}
	awaitRollout(t, f, rev, "done", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutDone })
	awaitLeader(t, f, "8081")

	f.MustRunOnBuild(t, "systemctl", "start", fleet.ControllerUnit)
	after := commit(t, f, "with both", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("with both")) })
	if now := requirePublished(t, web1, after).Serial; now != before+2 {
		t.Errorf("web1: was told serial %s, want %s", now, before+2)
	}
	awaitLeader(t, f, "8081")
}

// addController gives the controller a NATS server of its own in the place of the embedded one, and another
// controller beside it, as docs/high-availability.md says. The first one is not started again when it ends.
func addController(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	server := filepath.Join(t.TempDir(), "nats-server")
	if _, err := command.Run(t.Context(), command.Command{
		Args: []string{"go", "build", "-o", server, "github.com/nats-io/nats-server/v2"}, Env: append(os.Environ(), "CGO_ENABLED=0"),
	}); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(server)
	if err != nil {
		t.Fatal(err)
	}
	config, err := f.Build().ReadFile("/etc/kedge/controller.yaml")
	if err != nil {
		t.Fatal(err)
	}
	nats := f.MustRunOnBuild(t, "kedge-controller", "nats-config", "--config", "/etc/kedge/controller.yaml")
	unit, err := f.Build().ReadFile("/etc/systemd/system/" + fleet.ControllerUnit)
	if err != nil {
		t.Fatal(err)
	}
	one, two := controllersOf(t, string(config))
	second := strings.NewReplacer("/etc/kedge/controller.yaml", "/etc/kedge/controller2.yaml", "StateDirectory=kedge-controller", "StateDirectory=kedge-controller-b")
	for name, content := range map[string]string{
		"/usr/local/bin/nats-server":                                   string(program),
		"/etc/nats.conf":                                               nats + "server_name: n1\nlisten: 0.0.0.0:4222\n",
		"/etc/kedge/controller.yaml":                                   one,
		"/etc/kedge/controller2.yaml":                                  two,
		"/run/systemd/system/" + secondController:                      second.Replace(string(unit)),
		"/root/phrase":                                                 "correct horse battery staple\n",
		"/run/systemd/system/" + fleet.ControllerUnit + ".d/gone.conf": "[Service]\nRestart=no\n",
	} {
		if err := f.Build().WriteFile(name, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	run := func(commands ...string) {
		t.Helper()
		for _, c := range commands {
			f.MustRunOnBuild(t, strings.Fields(c)...)
		}
	}
	run(
		"systemctl daemon-reload",
		"systemctl stop "+fleet.ControllerUnit,
		"systemd-run --quiet --unit=nats nats-server --config /etc/nats.conf",
		"systemctl start "+fleet.ControllerUnit,
	)
	awaitLeader(t, f, "8080")
	run(
		"kedge-controller backup /root/backup --passphrase-file /root/phrase --config /etc/kedge/controller.yaml",
		"kedge-controller restore /root/backup --keys-only --passphrase-file /root/phrase --config /etc/kedge/controller2.yaml",
		"systemctl start "+secondController,
	)
	t.Cleanup(func() {
		if t.Failed() {
			said, _ := f.Build().Run(context.WithoutCancel(t.Context()), "journalctl", "--no-pager", "--unit="+secondController, "--lines=40") // for the message only
			t.Log(said)
		}
	})
}

// controllersOf returns the configurations of two controllers, from that of one which was alone.
func controllersOf(t *testing.T, alone string) (one, two string) {
	t.Helper()
	head, rest, embedded := strings.Cut(alone, "nats:\n")
	_, rest, _ = strings.Cut(rest, "http:\n")
	_, urls, cached := strings.Cut(rest, "urls: [")
	urls, _, _ = strings.Cut(urls, "]")
	if !embedded || !cached {
		t.Fatalf("the build host's configuration is\n%s", alone)
	}
	one = head + "ha: {enabled: true}\nnats: {url: \"nats://127.0.0.1:4222\"}\nhttp:\n" + strings.Replace(rest, urls, urls+", "+strings.ReplaceAll(urls, ":8080", ":8081"), 1)
	return one, "state_dir: /var/lib/kedge-controller-b\n" + strings.Replace(one, "0.0.0.0:8080", "0.0.0.0:8081", 1)
}

// awaitLeader waits until the controller at a port leads.
func awaitLeader(t *testing.T, f *fleet.Fleet, port string) {
	t.Helper()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		said, err := f.Build().Run(t.Context(), "curl", "--silent", "--fail", fmt.Sprintf("http://127.0.0.1:%s/readyz", port))
		if err == nil && strings.TrimSpace(said) == "ok" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the controller at port %s does not lead: %s, %v", port, said, err)
		}
	}
}
