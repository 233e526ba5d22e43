package cli_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"kedge/cli"
	"kedge/controller/controllertest"
	"kedge/proto"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kedge": kedge})
}

// kedge is the command as scripts run it.
func kedge() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := cli.Run(ctx, cli.Options{Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kedge:", err)
	}
	os.Exit(cli.ExitCode(err)) //nolint:forbidigo // this is a main
}

// TestScripts runs each script against a controller of its own. Besides
// testscript's commands there are:
//
//	push HOST=NAME...     a revision whose HOST has the toplevel called NAME;
//	                      NAME "broken" is a host that does not evaluate
//	push-nothing          a revision without nixosConfigurations
//	import NAME...        toplevels that others built and a trusted key signed
//	import-unsigned NAME  one that nobody signed
//	agent HOST PHASE      an agent that ends every deployment in PHASE, with
//	                      credentials HOST.creds
//	exits CODE kedge...   runs a command and compares its exit code
//
// The store path of a toplevel called NAME is in the variable NAME.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"push":            push,
			"push-nothing":    pushNothing,
			"import":          func(ts *testscript.TestScript, _ bool, args []string) { importAll(ts, args, true) },
			"import-unsigned": func(ts *testscript.TestScript, _ bool, args []string) { importAll(ts, args, false) },
			"agent":           agent,
			"exits":           exits,
		},
	})
}

type scriptKey struct{}

// script is what a script works on.
type script struct {
	ctx        context.Context
	world      *controllertest.World
	controller *controllertest.Running
	defers     func(func())
}

func setup(env *testscript.Env) error {
	ctx, stop := context.WithCancel(context.Background())
	logs, err := os.Create(filepath.Join(env.WorkDir, "controller.log"))
	if err != nil {
		stop()
		return err
	}
	s := &script{ctx: ctx, world: &controllertest.World{}, defers: env.Defer}
	s.controller, err = controllertest.Start(ctx, filepath.Join(env.WorkDir, "state"), s.world, logs)
	if err != nil {
		stop()
		return err
	}
	env.Defer(func() {
		stop()
		_ = s.controller.Stop() // a failure shows in the script's own checks
		_ = logs.Close()
	})
	env.Values[scriptKey{}] = s
	env.Setenv("KEDGE_SERVER", s.controller.NATSURL())
	env.Setenv("KEDGE_CREDS", s.controller.AdminCredentials())
	for _, name := range []string{"one", "two", "three"} {
		p, err := controllertest.Toplevel(name)
		if err != nil {
			return err
		}
		env.Setenv(name, p.String())
	}
	return nil
}

func of(ts *testscript.TestScript) *script {
	s, ok := ts.Value(scriptKey{}).(*script)
	if !ok {
		ts.Fatalf("no controller")
	}
	return s
}

func host(ts *testscript.TestScript, name string) proto.HostName {
	h, err := proto.ParseHostName(name)
	ts.Check(err)
	return h
}

func push(ts *testscript.TestScript, _ bool, args []string) {
	f := controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{}, Broken: map[proto.HostName]string{}}
	for _, a := range args {
		name, toplevel, _ := strings.Cut(a, "=")
		if toplevel == "broken" {
			f.Broken[host(ts, name)] = "error: attribute 'nginx' missing"
			continue
		}
		p, err := controllertest.Toplevel(toplevel)
		ts.Check(err)
		f.Toplevels[host(ts, name)] = p
	}
	ts.Setenv("revision", of(ts).world.Push(f).Short())
}

func pushNothing(ts *testscript.TestScript, _ bool, _ []string) {
	of(ts).world.Push(controllertest.Flake{Err: errors.New("flake has no nixosConfigurations")})
}

func importAll(ts *testscript.TestScript, names []string, signed bool) {
	for _, n := range names {
		p, err := controllertest.Toplevel(n)
		ts.Check(err)
		of(ts).world.Import(p, signed)
	}
}

func agent(ts *testscript.TestScript, _ bool, args []string) {
	s := of(ts)
	var phase proto.Phase
	ts.Check(phase.UnmarshalText([]byte(args[1])))
	a := controllertest.Agent{
		Host: host(ts, args[0]), Server: s.controller.NATSURL(), Credentials: ts.MkAbs(args[0] + ".creds"),
		Trust: s.controller.Trust(), Phase: phase,
	}
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(s.ctx)
	go func() { ended <- a.Run(ctx) }()
	ts.Defer(func() {
		stop()
		if err := <-ended; err != nil {
			ts.Logf("agent %s: %v", a.Host, err)
		}
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// TestReconcileIsQuick measures what a push waits for: the git hook's call.
func TestReconcileIsQuick(t *testing.T) {
	c, err := controllertest.Start(t.Context(), t.TempDir(), &controllertest.World{}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	env := map[string]string{"KEDGE_SERVER": c.NATSURL(), "KEDGE_CREDS": c.AdminCredentials()}
	best := time.Hour
	for range 10 {
		began := time.Now()
		if err := cli.Run(t.Context(), cli.Options{
			Stdout: t.Output(), Stderr: t.Output(), Getenv: func(k string) string { return env[k] },
		}, []string{"reconcile"}); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	t.Logf("kedge reconcile took %s", best)
	if limit := 60 * time.Millisecond; best > limit {
		t.Errorf("kedge reconcile took %s at best, want less than %s", best, limit)
	}
}
