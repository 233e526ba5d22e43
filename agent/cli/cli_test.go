package cli_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"kedge/agent/cli"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/health"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/internal/usage"
	"kedge/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when everything happens, one minute after the last deployment ended.
var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// TestScripts runs each script on a host of its own, whose configuration is
// agent.yaml and whose runtime directory is run. Besides testscript's commands
// there are:
//
//	agent [REASON]        an agent that is not ready for REASON, or ready; in
//	                      the place of the one before
//	agent no-desired      likewise, of which nobody knows whether it is ready
//	agent-busy            an agent that never rests
//	agent-down            no agent
//	deployed ID PHASE...  what the files say of the last deployment
//	quarantined PATH      a system that failed
//	locked, unlocked      a transaction that runs, and does not any more
//	kedge-agent ARG...    the command line, in this process
//	exits CODE kedge-agent ARG...   the same, where another exit code than 0 is
//	                      meant
//
// The units bad.service has failed and good.service runs.
//
// journalctl prints its arguments, and with --follow ends with 5.
func TestScripts(t *testing.T) {
	bin := t.TempDir()
	journal := "#!/bin/sh\necho \"$@\"\ncase $* in *--follow) exit 5 ;; esac\n"
	if err := os.WriteFile(filepath.Join(bin, "journalctl"), []byte(journal), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"agent":      func(ts *testscript.TestScript, _ bool, args []string) { of(ts).serve(ts, args) },
			"agent-busy": func(ts *testscript.TestScript, _ bool, _ []string) { of(ts).serve(ts, []string{busy}) },
			"agent-down": func(ts *testscript.TestScript, _ bool, _ []string) { of(ts).close() },
			"deployed":   deployed,
			"quarantined": func(ts *testscript.TestScript, _ bool, args []string) {
				path, err := proto.ParseStorePath(args[0])
				ts.Check(errors.Join(err, of(ts).files.Quarantine(path, proto.ReasonUnitsFailed, noon)))
			},
			"locked": func(ts *testscript.TestScript, _ bool, _ []string) {
				var err error
				of(ts).lock, err = of(ts).files.LockTransaction()
				ts.Check(err)
			},
			"unlocked":    func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(of(ts).lock.Unlock()) },
			"kedge-agent": func(ts *testscript.TestScript, _ bool, args []string) { run(ts, cli.ExitOK, args) },
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				code, err := strconv.Atoi(args[0])
				ts.Check(err)
				run(ts, code, args[2:]) // args[1] is kedge-agent
			},
		},
	})
}

type scriptKey struct{}

// script is what a script works on.
type script struct {
	ctx    context.Context
	files  statefile.Dir
	server *control.Server // nil if there is no agent
	lock   *statefile.Lock // of a transaction, if one runs
}

func setup(env *testscript.Env) error {
	ctx, stop := context.WithCancel(context.Background())
	s := &script{ctx: ctx, files: statefile.Dir{State: filepath.Join(env.WorkDir, "state"), Runtime: filepath.Join(env.WorkDir, "run")}}
	env.Defer(func() {
		stop()
		s.close()
	})
	env.Values[scriptKey{}] = s
	env.Setenv("SUDO_USER", "ada")
	config := fmt.Sprintf("host: web1\nstate_dir: %s\nruntime_dir: %s\n", s.files.State, s.files.Runtime)
	return errors.Join(s.files.Prepare(), os.WriteFile(filepath.Join(env.WorkDir, "agent.yaml"), []byte(config), 0o600))
}

func of(ts *testscript.TestScript) *script {
	s, ok := ts.Value(scriptKey{}).(*script)
	if !ok {
		ts.Fatalf("no host")
	}
	return s
}

func (s *script) serve(ts *testscript.TestScript, reason []string) {
	s.close()
	a := fake{files: s.files}
	if len(reason) > 0 {
		a.reason = proto.Reason(reason[0])
	}
	server, err := control.Serve(s.ctx, control.Options{Dir: s.files.Runtime, Agent: a, Log: slog.New(slog.DiscardHandler)})
	ts.Check(err)
	s.server = server
}

func (s *script) close() {
	if s.server != nil {
		s.server.Close()
		s.server = nil
	}
}

func deployed(ts *testscript.TestScript, _ bool, args []string) {
	d := deployment.Deployment{ID: args[0], Serial: 7, Started: noon.Add(-2 * time.Minute)}
	for i, p := range args[1:] {
		s := deployment.Step{Phase: proto.Phase(p), Time: d.Started.Add(time.Duration(i) * 10 * time.Second)}
		if s.Phase == proto.PhaseRollingBack {
			s.Reason, s.Message = proto.ReasonUnitsFailed, "a.service\n\x1b[2Jfailed"
		}
		var err error
		d, err = d.Advance(s)
		ts.Check(err)
	}
	ts.Check(of(ts).files.Save(d))
	if d.Terminal() {
		ts.Check(of(ts).files.Remember(statefile.NewPast(d), func(statefile.History) error { return nil }))
	}
}

func run(ts *testscript.TestScript, want int, args []string) {
	config := ts.MkAbs("agent.yaml")
	root := &cobra.Command{Use: "kedge-agent", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().StringVar(&config, "config", config, "")
	root.AddCommand(cli.Commands(cli.Options{
		Stdout: ts.Stdout(), Stderr: ts.Stderr(), Getenv: ts.Getenv, Config: &config, Now: func() time.Time { return noon },
		Units: units{},
	})...)
	root.SetOut(ts.Stdout())
	root.SetErr(ts.Stderr())
	root.SetArgs(args)
	err := usage.Execute(of(ts).ctx, root)
	if err != nil && cli.Message(err) != "" {
		fmt.Fprintln(ts.Stderr(), "kedge-agent:", cli.Message(err))
	}
	if got := cli.ExitCode(err); got != want {
		ts.Fatalf("exit code %d, want %d: %v", got, want, err)
	}
}

// units is systemd, as far as check asks it.
type units struct{ health.Units }

func (units) Failing(context.Context, ...string) (systemd.Units, error) {
	return systemd.Units{{Name: "bad.service", ActiveState: systemd.Failed}}, nil
}

func (units) Unit(_ context.Context, name string) (systemd.Unit, error) {
	return systemd.Unit{Name: name, LoadState: "loaded", ActiveState: systemd.Active}, nil
}

func (units) Journal(context.Context, systemd.JournalQuery) ([]string, error) {
	return []string{"cannot\x1b[2J listen"}, nil
}

// A fake agent keeps what it is told in the files, and does nothing about it.
type fake struct {
	files  statefile.Dir
	reason proto.Reason // why it is not ready
}

// busy is the reason of an agent that never rests.
const busy = "busy"

func (f fake) Status() proto.Status {
	s := proto.Status{Agent: "1.2.3", Conditions: []proto.Condition{{Type: proto.ConditionReady, Status: proto.StatusTrue, Reason: proto.ReasonConverged}}}
	_ = s.Host.UnmarshalText([]byte("web1")) // is a name
	if f.reason != "" {
		s.Conditions[0].Status, s.Conditions[0].Reason = proto.StatusFalse, f.reason
	}
	if f.reason == proto.ReasonNoDesired {
		s.Conditions[0].Status = proto.StatusUnknown
	}
	d, _ := f.files.Deployment() // zero where there is none
	s.Deployment = d.Status()
	return s
}

func (f fake) History() (statefile.History, error) { return f.files.History() }
func (f fake) Reconcile(context.Context) error     { return nil }

func (f fake) Rested(ctx context.Context) (proto.Status, error) {
	if f.reason == busy {
		<-ctx.Done()
	}
	return f.Status(), ctx.Err()
}

func (f fake) Suspend(_ context.Context, r control.SuspendRequest) (statefile.Suspension, error) {
	s := statefile.Suspension{Since: noon, Reason: r.Reason, By: r.By}
	if r.For > 0 {
		s.Until = noon.Add(r.For)
	}
	return s, f.files.Suspend(s)
}

func (f fake) Resume(context.Context, string) error { return f.files.Resume() }

func (f fake) Confirm(_ context.Context, by string) (proto.DeploymentStatus, error) {
	d, err := f.files.Deployment()
	if err != nil || !d.Fetched() {
		return d.Status(), errors.Join(err, control.ErrNothing)
	}
	return d.Status(), f.files.Confirm(statefile.Confirmation{Deployment: d.ID, By: by, At: noon})
}

// RollBack is over at once: well, unless the agent is not ready for a reason, or it waits
// for its boot already. No generation is above 9.
func (f fake) RollBack(_ context.Context, r control.RollBackRequest) (proto.DeploymentStatus, error) {
	if d, err := f.files.Deployment(); err != nil || d.Phase == proto.PhaseStaged {
		return d.Status(), err
	}
	if r.To > 9 {
		return proto.DeploymentStatus{}, control.ErrNothing
	}
	d := deployment.Deployment{ID: "by-hand-x", Origin: deployment.OriginHand, Phase: proto.PhaseCommitted}
	d.Reason, d.Message = proto.ReasonRolledBackByHand, fmt.Sprintf("to %d by %s: %s", r.To, r.By, r.Reason)
	if f.reason != "" {
		d.Phase, d.Reason = proto.PhaseRolledBack, f.reason
	}
	return d.Status(), f.files.Save(d)
}

func (f fake) Lift(_ context.Context, r control.LiftRequest) ([]statefile.Quarantine, error) {
	if !r.All {
		return nil, nil
	}
	return []statefile.Quarantine{{Reason: proto.ReasonUnitsFailed}}, nil
}
