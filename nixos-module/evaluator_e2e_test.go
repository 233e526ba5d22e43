//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"kedge/e2e/hosts"
	"kedge/e2e/toplevel"
)

// options is a set of options.
type options = map[string]any

const exampleKey = "example-1:0J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U="

// An evaluation is what tests/eval.nix says about a host.
type evaluation struct {
	Units     map[string]unit   // by name, without .service
	Overrides map[string]string // of systemd's own targets, by name, without .target
	Settings  options
	Refusals  []string
	Checks    []string // derivations
	Packages  []string
	Ports     []int
	Accounts  map[string]struct{ Home string }
	// Of the kernel and systemd.
	KernelParams []string
	Manager      options
	// Of Prometheus and Grafana.
	Rules      []string // files, or derivations of them
	Dashboards []options
}

type unit struct {
	toplevel.Service
	Path               []string
	RestartsWithConfig bool
}

// An evaluator evaluates the modules on a machine.
type evaluator struct {
	machine  *hosts.Machine
	programs string // store path
	lib      string // where the machine has it
}

func (e evaluator) evaluate(t *testing.T, service string, config options) (evaluation, error) {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.machine.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode",
		"--argstr", "service", service, "--argstr", "config", string(text), "--argstr", "package", e.programs,
		"--arg", "lib", "import "+e.lib, project+"/nixos-module/tests/eval.nix")
	if err != nil {
		return evaluation{}, err
	}
	var got evaluation
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	return got, nil
}

func (e evaluator) mustEvaluate(t *testing.T, service string, config options) evaluation {
	t.Helper()
	got, err := e.evaluate(t, service, config)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// check builds what is built with the system to check it.
func (e evaluator) check(t *testing.T, got evaluation) error {
	t.Helper()
	if len(got.Checks) != 1 {
		t.Fatalf("got checks %q, want one", got.Checks)
	}
	_, err := e.machine.RunOffline(t.Context(), "nix-store", "--realise", got.Checks[0])
	return err
}

// agentHost returns the configuration of a host that the agent runs on, with other options of the agent and of the host.
func agentHost(service, host options) options {
	o := options{
		"enable":          true,
		"servers":         []string{"wss://build.example.org/nats"},
		"credentialsFile": "/run/secrets/kedge.creds",
		"trust": options{
			"releaseKeys": []string{exampleKey}, "controllerKeys": []string{exampleKey}, "cacheKeys": []string{exampleKey},
		},
	}
	maps.Copy(o, service)
	return with(host, "kedge-agent", o)
}

// controllerHost returns the configuration of a host that the controller runs on, with other options.
func controllerHost(service, host options) options {
	o := options{
		"enable":    true,
		"sources":   options{"main": options{"url": "/srv/git/fleet.git"}},
		"advertise": []string{"wss://build.example.org/nats"},
		"cacheUrls": []string{"https://build.example.org/cache/"},
	}
	maps.Copy(o, service)
	return with(host, "kedge-controller", o)
}

func with(host options, name string, service options) options {
	o := options{"networking": options{"hostName": "web1"}, "services": options{name: service}}
	maps.Copy(o, host)
	return o
}

// addPrograms builds Kedge, puts it into the machine's store, and returns its path there.
func addPrograms(t *testing.T, m *hosts.Machine) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kedge")
	run(t, root, "go", "build", "-o", filepath.Join(dir, "bin")+"/", "./cmd/...")
	if err := os.CopyFS(filepath.Join(dir, "share/kedge/alerts"), os.DirFS(filepath.Join(root, "docs/alerts"))); err != nil {
		t.Fatal(err)
	}
	path, err := toplevel.AddToStore(t.Context(), m, dir)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// installedUnits returns the units of the agent as the system of a test host has them, and what it adds to
// boot-complete.target.
func installedUnits(t *testing.T, e evaluator) (services map[string]toplevel.Service, bootComplete string) {
	t.Helper()
	tools := filepath.Join(t.TempDir(), "kedge-stand-in")
	if err := toplevel.BuildTools(t.Context(), tools); err != nil {
		t.Fatal(err)
	}
	path, err := toplevel.AddToStore(t.Context(), e.machine, tools)
	if err != nil {
		t.Fatal(err)
	}
	fleet := toplevel.Fleet{Tools: path, Hosts: map[string]toplevel.Host{"web1": {Agent: e.programs, AgentConfig: "{}"}}}
	systems, err := toplevel.Build(t.Context(), e.machine, fleet)
	if err != nil {
		t.Fatal(err)
	}
	const dir = "/etc/systemd/system/"
	services = map[string]toplevel.Service{}
	for _, name := range []string{"kedge-agent", "kedge-trial"} {
		services[name] = installedUnit(t, e, systems["web1"]+dir, name+".service")
	}
	text, err := e.machine.ReadFile(systems["web1"] + dir + "boot-complete.target.d/overrides.conf")
	if err != nil {
		t.Fatal(err)
	}
	return services, string(text)
}

// installedUnit returns the unit of the directory dir.
func installedUnit(t *testing.T, e evaluator, dir, name string) toplevel.Service {
	t.Helper()
	text, err := e.machine.ReadFile(dir + name)
	if err != nil {
		t.Fatal(err)
	}
	service := toplevel.Service{Text: string(text)}
	for _, target := range []string{"multi-user.target", "basic.target", "sysinit.target"} {
		there, err := e.machine.Exists(dir + target + ".wants/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if there {
			service.WantedBy = append(service.WantedBy, target)
		}
	}
	return service
}
