//go:build e2e

package e2e_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"kedge/e2e/fleet"
)

// A controllerUnit is one of two controllers on the build host.
type controllerUnit struct{ unit, port, state string }

// controllers are the two. Neither is started again when it ends.
type controllers struct {
	f              *fleet.Fleet
	leads, standby controllerUnit
}

// newControllers gives the controller of a fleet another one beside it.
func newControllers(t *testing.T, f *fleet.Fleet) *controllers {
	t.Helper()
	addController(t, f)
	return &controllers{
		f:       f,
		leads:   controllerUnit{fleet.ControllerUnit, "8080", "/var/lib/kedge-controller"},
		standby: controllerUnit{secondController, "8081", "/var/lib/kedge-controller-b"},
	}
}

// mustLose has the one that leads killed by a shell script, which has the name of its
// unit as $1 and further arguments after it; the other one takes over, and the killed
// one, started again, stands by.
func (c *controllers) mustLose(t *testing.T, when, script string, args ...string) {
	t.Helper()
	c.f.MustRunOnBuild(t, append([]string{"sh", "-euc", script, "sh", c.leads.unit}, args...)...)
	killed := time.Now()
	awaitReadiness(t, c.f, c.standby.port, "ok")
	t.Logf("killed %s: the other one leads after %s", when, time.Since(killed).Round(100*time.Millisecond))
	c.f.MustRunOnBuild(t, "systemctl", "start", c.leads.unit)
	awaitReadiness(t, c.f, c.leads.port, "standby: ")
	c.leads, c.standby = c.standby, c.leads
}

// Shell scripts: the end of a controller with all that it started; until somebody opens
// a FIFO, in which the kernel then has it wait; and the end of the FIFO that is $2, which
// reads as nothing then, with what should be in its place put there, if anything.
const (
	killScript  = `systemctl kill --kill-whom=all --signal=KILL "$1"; `
	awaitReader = `until grep -qs wait_for_partner /proc/[0-9]*/task/*/wchan; do sleep 0.1; done; `
	removeFIFO  = `exec 9<>"$2"; rm "$2"; test ! -e "$2.saved" || mv "$2.saved" "$2"`
)

// mustLoseNow kills the one that leads at once.
func (c *controllers) mustLoseNow(t *testing.T, when string) {
	t.Helper()
	c.mustLose(t, when, killScript)
}

// mustLoseAt kills the one that leads as soon as it, or what it started, waits for a
// FIFO, and removes that.
func (c *controllers) mustLoseAt(t *testing.T, when, fifo string) {
	t.Helper()
	c.mustLose(t, when, awaitReader+killScript+removeFIFO, fifo)
}

// mustGoOn removes a FIFO as soon as the one that leads waits for it.
func (c *controllers) mustGoOn(t *testing.T, fifo string) {
	t.Helper()
	c.f.MustRunOnBuild(t, "sh", "-euc", awaitReader+removeFIFO, "sh", c.leads.unit, fifo)
}

// mustLoseIn kills the one that leads in the middle of what an operator asks for: when
// something of that is on its disk. Unless it is done all the same, the operator asks
// again.
func (c *controllers) mustLoseIn(t *testing.T, done func() bool, args ...string) {
	t.Helper()
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }() // nothing was written through it
	if err := w.Add(filepath.Join(c.f.Build().Root(), c.leads.state, "rollouts", "main")); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := c.f.Kedge(t.Context(), args...)
		answered <- err
	}()
	select {
	case <-w.Events:
	case err := <-answered: // all at once
		answered <- err
	}
	c.mustLoseNow(t, "in "+strings.Join(args, " "))
	err = <-answered
	if is := done(); !is {
		t.Logf("kedge %q ended with %v, and is asked again", args, err)
		c.f.MustKedge(t, args...)
	}
	if !done() {
		t.Fatalf("kedge %q is without effect", args)
	}
}

// secondController is the unit of another controller on the build host.
const secondController = "kedge-controller-b.service"

// addController gives the controller a NATS server of its own in the place of the embedded one, and another
// controller beside it, as docs/high-availability.md says. Neither is started again when it ends.
func addController(t *testing.T, f *fleet.Fleet) {
	t.Helper()
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
		"/usr/local/bin/nats-server":                                   string(compile(t, "github.com/nats-io/nats-server/v2")),
		"/etc/nats.conf":                                               nats + "server_name: n1\nlisten: 0.0.0.0:4222\n",
		"/etc/kedge/controller.yaml":                                   one,
		"/etc/kedge/controller2.yaml":                                  two,
		"/run/systemd/system/" + secondController:                      second.Replace(string(unit)),
		"/root/phrase":                                                 "correct horse battery staple\n",
		"/run/systemd/system/" + fleet.ControllerUnit + ".d/gone.conf": "[Service]\nRestart=no\n",
		"/run/systemd/system/" + secondController + ".d/gone.conf":     "[Service]\nRestart=no\n",
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
	awaitReadiness(t, f, "8080", "ok")
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

// takeoverPatience is how long it may take until another one leads, on a machine that
// does a lot besides; else it is 6 to 7 s.
const takeoverPatience = 30 * time.Second

// awaitReadiness waits until the controller at a port says of itself what begins so: ok
// if it leads.
func awaitReadiness(t *testing.T, f *fleet.Fleet, port, says string) {
	t.Helper()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for deadline := time.After(takeoverPatience); ; {
		said, err := f.Build().Run(t.Context(), "curl", "--silent", "http://127.0.0.1:"+port+"/readyz")
		if err == nil && strings.HasPrefix(said, says) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the controller at port %s does not say %q: %s, %v", port, says, said, err)
		}
	}
}
