package cli_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"kedge/cmd/kedge/internal/cli"
	"kedge/controller/controllertest"
	"kedge/proto"
)

// A saying does something as soon as kedge says a word.
type saying func(said string)

func (s saying) Write(b []byte) (int, error) {
	s(string(b))
	return len(b), nil
}

// TestAnActIsOnWhatWasThereWhenItWasAskedFor: what comes in between, by somebody who does
// the same or by a push, is not meant.
func TestAnActIsOnWhatWasThereWhenItWasAskedFor(t *testing.T) {
	const approved = `{"rollout": {"waves": [{"name": "first", "hosts": "web1", "approval": true}, {"name": "second", "hosts": "web2", "approval": true}]}}`
	waits := func(wave int) func(proto.RolloutShowReply) bool {
		return func(r proto.RolloutShowReply) bool {
			return r.Rollout.State == proto.RolloutRunning && r.Rollout.Promotes == proto.RolloutPromotion{Wave: wave, Ends: proto.RolloutPauseApproval}
		}
	}
	for name, tt := range map[string]struct {
		act     string
		said    string
		between func(t *testing.T, kedge func(args ...string) error, push func(name string)) func(proto.RolloutShowReply) bool
		refusal string
	}{
		"two promote": {
			"promote", "of channel main: the approval of wave first", func(t *testing.T, kedge func(...string) error, _ func(string)) func(proto.RolloutShowReply) bool {
				t.Helper()
				if err := kedge("rollout", "promote"); err != nil {
					t.Error(err)
				}
				return waits(1)
			}, "it waits for something else by now: the approval of wave second",
		},
		"a revision comes before it is aborted": {
			"abort", "of channel main", func(t *testing.T, _ func(...string) error, push func(string)) func(proto.RolloutShowReply) bool {
				t.Helper()
				push("two")
				two, err := controllertest.Toplevel("two")
				if err != nil {
					t.Error(err)
				}
				return func(r proto.RolloutShowReply) bool { return waits(0)(r) && r.Hosts[0].Toplevel == two }
			}, "has ended: it is superseded; that of channel main is ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			world := &controllertest.World{}
			c, err := controllertest.Start(t.Context(), filepath.Join(t.TempDir(), "state"), world, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := c.Stop(); err != nil {
					t.Error(err)
				}
			}()
			env := map[string]string{"KEDGE_SERVER": c.NATSURL(), "KEDGE_CREDS": c.AdminCredentials()}
			options := cli.Options{Stdout: t.Output(), Stderr: t.Output(), Getenv: func(k string) string { return env[k] }}
			kedge := func(args ...string) error { return cli.Run(t.Context(), options, args) }
			push := func(name string) {
				world.Push(controllertest.Flake{Kedge: approved, Toplevels: toplevels(t, name, "web1", "web2")})
				if err := kedge("reconcile"); err != nil {
					t.Error(err)
				}
			}
			await := func(is func(proto.RolloutShowReply) bool) {
				if err := c.AwaitRollout(t.Context(), is); err != nil {
					t.Error(err)
				}
			}
			for _, name := range []string{"web1", "web2"} {
				creds := filepath.Join(t.TempDir(), name+".creds")
				if err := kedge("host", "add", name, "--out", creds); err != nil {
					t.Fatal(err)
				}
				isHeard(t, c, name, creds)
			}
			push("one")
			await(waits(0))

			var all string
			var then func(proto.RolloutShowReply) bool
			late := options
			late.Stderr = saying(func(said string) {
				if all += said; then == nil {
					then = tt.between(t, kedge, push)
					await(then)
				}
			})
			err = cli.Run(t.Context(), late, []string{"rollout", tt.act})
			if err == nil || !strings.Contains(err.Error(), tt.refusal) {
				t.Errorf("error = %v, want %q", err, tt.refusal)
			}
			if then == nil || !strings.HasPrefix(all, tt.act+" rollout ") || !strings.Contains(all, tt.said) {
				t.Fatalf("before it acts, kedge says %q, want %q", all, tt.said)
			}
			await(then)
		})
	}
}

// isHeard runs a host that commits every deployment, until the test ends, and returns when
// the controller has heard of it.
func isHeard(t *testing.T, c *controllertest.Running, name, credentials string) {
	t.Helper()
	host, err := proto.ParseHostName(name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- controllertest.Agent{Host: host, Server: c.NATSURL(), Credentials: credentials, Trust: c.Trust(), Phase: proto.PhaseCommitted}.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Logf("agent %s: %v", name, err)
		}
	})
	if err := c.AwaitHost(t.Context(), host, func(v proto.HostView) bool { return v.Status != nil }); err != nil {
		t.Fatal(err)
	}
}

// toplevels returns the toplevel called name for hosts.
func toplevels(t *testing.T, name string, hosts ...string) map[proto.HostName]proto.StorePath {
	t.Helper()
	p, err := controllertest.Toplevel(name)
	if err != nil {
		t.Fatal(err)
	}
	all := map[proto.HostName]proto.StorePath{}
	for _, h := range hosts {
		host, err := proto.ParseHostName(h)
		if err != nil {
			t.Fatal(err)
		}
		all[host] = p
	}
	return all
}
