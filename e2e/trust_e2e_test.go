//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// Where the controller has what it signs with, and how.
const (
	controllerKeys   = "/var/lib/kedge-controller/keys/"
	controllerConfig = "/etc/kedge/controller.yaml"
)

// trustsToo has a host trust a key beside those it trusts, and trustsOnly no other
// one.
func trustsToo(list, key string) func(h *toplevel.Host) {
	return fleet.Config(list+": [", list+": ["+quoted(key)+",")
}

func trustsOnly(list string, keys ...string) func(h *toplevel.Host) {
	var all []string
	for _, k := range keys {
		all = append(all, quoted(k))
	}
	return fleet.Config(list+": [", list+": ["+strings.Join(all, ",")+"] # ")
}

func quoted(key string) string {
	b, err := json.Marshal(key)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestTrustRotation: a whole rotation of both keys, while one host sleeps and one
// goes back past it; a configuration that does not trust what is signed; and a host
// that lost what it remembered.
func TestTrustRotation(t *testing.T) {
	t.Parallel()
	f := up(t, "awake", "asleep", "back")
	awake, asleep, back := f.Host("awake"), f.Host("asleep"), f.Host("back")
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := requireOn(t, back, "before")
	if err := asleep.PowerCut(t.Context()); err != nil {
		t.Fatal(err)
	}

	nextController := strings.TrimSpace(f.MustKedge(t, "key", "add", "controller"))
	nextRelease := strings.TrimSpace(f.MustKedge(t, "key", "add", "release"))
	oldController := strings.Replace(name(nextController), "-2", "-1", 1)
	oldRelease := strings.Replace(name(nextRelease), "-2", "-1", 1)
	both := f.MustPush(t, "both", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("both"))
		fleet.Edit(w, trustsToo("controller_keys", nextController))
		fleet.Edit(w, trustsToo("release_keys", nextRelease))
	})
	for _, h := range []*fleet.Host{awake, back} {
		h.MustAwaitPhase(t, both, proto.PhaseCommitted)
	}
	said := back.MustRun(t, "kedge-agent", "rollback", "--reason", "a test", "--wait")
	requireSays(t, "rollback --wait", said, "rolled-back-by-hand")
	if after := back.MustFacts(t); after.Current != before.Current {
		t.Errorf("back: runs %s, want %s", after.Current, before.Current)
	}

	// What trusts the next keys only is served, and so is who knows the old ones only.
	next := f.MustPush(t, "next", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("next"))
		fleet.Edit(w, trustsOnly("controller_keys", nextController))
		fleet.Edit(w, trustsOnly("release_keys", nextRelease))
	})
	awake.MustAwaitPhase(t, next, proto.PhaseCommitted)
	requireSays(t, "`kedge key status`", f.MustKedge(t, "key", "status"), "needed by asleep")
	_, err := f.Kedge(t.Context(), "key", "retire", oldController)
	code, stderr := exitCode(t, err)
	if code != 1 {
		t.Errorf("`kedge key retire` of a key that hosts need ended with %d, want 1", code)
	}
	requireSays(t, "`kedge key retire`", stderr, "locked out", "asleep")
	back.MustAwaitPhase(t, next, proto.PhaseCommitted)
	if err := asleep.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	asleep.MustAwaitPhase(t, next, proto.PhaseCommitted)
	for _, h := range f.Hosts() {
		h.MustAwaitView(t, "trust in the next keys alone, committed", func(v proto.HostView) bool {
			s := v.Status
			return s != nil && s.Deployment.Phase == proto.PhaseCommitted && len(s.Trust.ControllerKeys) == 1 && s.Trust.ControllerKeys[0].Name == name(nextController)
		})
	}
	requireSays(t, "`kedge key status`", f.MustKedge(t, "key", "status"), "may be retired")
	for _, key := range []string{oldController, oldRelease} {
		requireSays(t, "`kedge key retire`", f.MustKedge(t, "key", "retire", key), "retired")
	}
	commit(t, f, "last", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("last")) })
	for _, h := range f.Hosts() {
		requireOn(t, h, "last")
	}

	t.Run("a configuration that does not trust what is signed", func(t *testing.T) {
		before := requireOn(t, awake, "last")
		foreign := f.MustPush(t, "foreign", func(w *toplevel.Fleet) {
			fleet.Edit(w, soonDecided, "awake")
			fleet.Edit(w, trustsOnly("release_keys", "other-1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="), "awake")
		})
		d := requireEnd(t, awake, foreign, proto.PhaseRolledBack, proto.ReasonNoContact)
		requireSame(t, awake, before)
		awaitContact(t, awake, d.Serial)
	})
	t.Run("a host that lost what it remembered", func(t *testing.T) {
		back.MustRun(t, "systemctl", "stop", "kedge-agent.service")
		back.MustRun(t, "rm", path.Join(stateDir, "floors.json"))
		back.MustRun(t, "systemctl", "start", "kedge-agent.service")
		v := awaitReason(t, back, proto.ConditionAccepted, proto.StatusFalse, proto.ReasonFloorsLost)
		if v.Status.Challenge == "" {
			t.Error("back: its status has no challenge")
		}
		requireSays(t, "`kedge host reset`", f.MustKedge(t, "host", "reset", "back"), "back: accepts again")
		back.MustAwaitView(t, "acceptance", func(v proto.HostView) bool {
			return condition(v, proto.ConditionAccepted).Status == proto.StatusTrue && v.Status.Challenge == "" && v.Status.Serial == v.Want.Serial
		})
	})
}

// name returns the name of a public key.
func name(key string) string {
	n, _, _ := strings.Cut(key, ":")
	return n
}

// TestTrustLost: the controller's key is lost, and hosts are won back with the spare
// one, by what CI signed with two of its three keys. From then on the controller
// holds no release key. Then its new key is stolen.
func TestTrustLost(t *testing.T) {
	t.Parallel()
	f := up(t, "web1")
	web1 := f.Host("web1")
	public := map[string]string{}
	for _, key := range []string{"spare-1", "ci-1", "ci-2", "ci-3"} {
		public[key] = strings.TrimSpace(f.MustKedge(t, "key", "generate", key, "--out", secret(key)))
	}
	commit(t, f, "prepared", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("prepared"))
		fleet.Edit(w, trustsToo("controller_keys", public["spare-1"]))
		for _, ci := range []string{"ci-1", "ci-2", "ci-3"} {
			fleet.Edit(w, trustsToo("release_keys", public[ci]))
		}
	})

	f.MustRunOnBuild(t, "systemctl", "stop", "kedge-controller.service")
	f.MustRunOnBuild(t, "rm", controllerKeys+"controller", controllerKeys+"release")
	f.MustRunOnBuild(t, "sed", "-i", `/^sources:/,/^[^ ]/{/^sources:/d; /^ /d}`, controllerConfig)
	f.MustRunOnBuild(t, "sh", "-c", fmt.Sprintf(`printf 'keys:\n  sign_releases: false\n  release_threshold: 2\n  release: ["%s", "%s", "%s"]\n  spare: ["%s"]\n' >> %s`,
		public["ci-1"], public["ci-2"], public["ci-3"], public["spare-1"], controllerConfig))
	f.MustRunOnBuild(t, "systemctl", "start", "kedge-controller.service")
	own := strings.TrimSpace(f.MustKedge(t, "key", "show", controllerKeys+"controller"))
	requireSays(t, "`kedge key status`", f.MustKedge(t, "key", "status"), "ci-3", "spare-1")

	ciBuilds(t, f, "won back", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("won back"))
		fleet.Edit(w, trustsOnly("controller_keys", own, public["spare-1"]))
		fleet.Edit(w, trustsOnly("release_keys", public["ci-1"], public["ci-2"], public["ci-3"]))
		fleet.Edit(w, fleet.Config("release_threshold: 1", "release_threshold: 2"))
	}, "ci-1", "ci-3")
	f.MustKedge(t, "release", "assign", "/root/won-back", "--key", secret("spare-1"), "--serial", "100", "--out", "/root/won-back.assigned")
	said := f.MustKedge(t, "publish", "/root/won-back.assigned", "--wait")
	requireSays(t, "`kedge publish`", said, "web1: published as serial 100", "web1: succeeded")
	requireOn(t, web1, "won back")

	t.Run("CI signs, two of three", func(t *testing.T) {
		ciBuilds(t, f, "by CI", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("by CI")) }, "ci-2")
		_, err := f.Kedge(t.Context(), "publish", "/root/by-CI")
		_, stderr := exitCode(t, err)
		requireSays(t, "`kedge publish` of what one signed", stderr, "1 of 2 signatures needed")
		f.MustKedge(t, "release", "sign", "/root/by-CI", "--key", secret("ci-3"), "--out", "/root/by-CI.both")
		requireSays(t, "`kedge publish`", f.MustKedge(t, "publish", "/root/by-CI.both", "--wait"), "web1: succeeded")
		requireOn(t, web1, "by CI")
	})
	t.Run("the controller's key is stolen", func(t *testing.T) {
		f.MustRunOnBuild(t, "cp", controllerKeys+"controller", secret("stolen"))
		next := strings.TrimSpace(f.MustKedge(t, "key", "add", "controller"))
		ciBuilds(t, f, "safe", func(w *toplevel.Fleet) {
			fleet.Edit(w, fleet.App("safe"))
			fleet.Edit(w, trustsOnly("controller_keys", next, public["spare-1"]))
		}, "ci-1", "ci-2")
		requireSays(t, "`kedge publish`", f.MustKedge(t, "publish", "/root/safe", "--wait"), "web1: succeeded")
		requireOn(t, web1, "safe")
		f.MustKedge(t, "key", "retire", name(own), "--force")
		f.MustKedge(t, "release", "assign", "/root/by-CI.both", "--key", secret("stolen"), "--serial", "1000", "--out", "/root/forged")
		_, err := f.Kedge(t.Context(), "publish", "/root/forged", "--downgrade")
		_, stderr := exitCode(t, err)
		requireSays(t, "`kedge publish` of what the thief assigned", stderr, "signed by no trusted key")
		requireOn(t, web1, "safe")
	})
}

// secret returns the file of a secret key on the build host.
func secret(key string) string { return "/root/" + key + ".secret" }

// ciBuilds builds what is committed for web1, as CI would, and signs a release of it
// with these keys, in /root/ and the message, with dashes. For its store paths it
// signs with the key that hosts trust already.
func ciBuilds(t *testing.T, f *fleet.Fleet, message string, change func(w *toplevel.Fleet), keys ...string) {
	t.Helper()
	if _, err := f.Commit(t.Context(), message, change); err != nil {
		t.Fatal(err)
	}
	system, err := f.BuildCommitted(t.Context(), "web1")
	if err != nil {
		t.Fatal(err)
	}
	f.MustRunOnBuild(t, "nix", "--extra-experimental-features", "nix-command", "store", "sign", "--recursive", "--key-file", controllerKeys+"cache", system.String())
	args := []string{"release", "sign", "web1=" + system.String(), "--out", "/root/" + strings.ReplaceAll(message, " ", "-")}
	for _, key := range keys {
		args = append(args, "--key", secret(key))
	}
	f.MustKedge(t, args...)
}
