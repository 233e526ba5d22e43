//go:build e2e

package nixosmodule_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/controller"
	"kedge/e2e/layers"
	"kedge/e2e/toplevel"
)

// nixpkgsLib names the directory lib of a nixpkgs. With it the modules are evaluated by the real module
// system, too.
const nixpkgsLib = "KEDGE_NIXPKGS_LIB"

func TestModules(t *testing.T) {
	m := newMachine(t, "modules")
	e := evaluator{machine: m, programs: addPrograms(t, m), lib: project + "/nixos-module/tests/lib.nix"}
	testModules(t, e)

	t.Run("with the lib of nixpkgs", func(t *testing.T) {
		dir := os.Getenv(nixpkgsLib)
		if dir == "" {
			t.Skip(layers.Elsewhere + nixpkgsLib + " names no lib of nixpkgs: neither these modules, nor mkFleet, the VM tests and the pages about options, were evaluated with it")
		}
		e.lib = "/srv/nixpkgs-lib"
		if err := os.CopyFS(filepath.Join(m.Root(), e.lib), os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		testModules(t, e)
	})
}

func testModules(t *testing.T, e evaluator) {
	t.Run("the agent's units are those of the test hosts", func(t *testing.T) {
		got := e.mustEvaluate(t, "agent", agentHost(nil, nil))
		services, bootComplete := installedUnits(t, e)
		if diff := cmp.Diff(map[string]string{"boot-complete": bootComplete}, got.Overrides); diff != "" {
			t.Errorf("targets (-test host +module):\n%s", diff)
		}
		for name, want := range services {
			u := got.Units[name]
			if diff := cmp.Diff(want, u.Service); diff != "" {
				t.Errorf("%s (-test host +module):\n%s", name, diff)
			}
			if want := []string{"nix", "systemd"}; !slices.Equal(u.Path, want) {
				t.Errorf("%s: PATH has %q, want %q", name, u.Path, want)
			}
			if u.RestartsWithConfig {
				t.Errorf("another configuration restarts %s, want only a transaction to do that", name)
			}
		}
		if want := []string{"kedge"}; !slices.Equal(got.Packages, want) {
			t.Errorf("people on the host have %q, want %q", got.Packages, want)
		}
	})

	t.Run("who judges a trial boot finds the state where the agent has it", func(t *testing.T) { testTrialUnit(t, e) })

	t.Run("the controller's unit is that of the test build host", func(t *testing.T) {
		got := e.mustEvaluate(t, "controller", controllerHost(nil, nil))
		want, err := toplevel.BuildHostServices(t.Context(), e.machine, e.programs)
		if err != nil {
			t.Fatal(err)
		}
		u := got.Units["kedge-controller"]
		if diff := cmp.Diff(want[toplevel.ControllerUnit], u.Service); diff != "" {
			t.Errorf("(-build host +module):\n%s", diff)
		}
		if want := []string{"nix", "git", "gnupg", "openssh"}; !slices.Equal(u.Path, want) {
			t.Errorf("PATH has %q, want %q", u.Path, want)
		}
		if home := got.Accounts["kedge-eval"].Home; home != "/var/lib/kedge-eval" {
			t.Errorf("the home of who evaluates is %q", home)
		}
		for name, others := range map[string]options{
			"another account": {"evalUser": "builder"}, "root": {"evalUser": ""}, "another account, by its setting": {"settings": options{"build": options{"eval_user": "builder"}}},
		} {
			if got := e.mustEvaluate(t, "controller", controllerHost(others, nil)); len(got.Accounts) > 0 {
				t.Errorf("%s evaluates, and the module makes %v", name, got.Accounts)
			}
		}
		if !u.RestartsWithConfig {
			t.Error("another configuration does not restart the controller")
		}
		if want := []string{"kedge"}; !slices.Equal(got.Packages, want) {
			t.Errorf("operators have %q, want %q", got.Packages, want)
		}
	})

	t.Run("ports are opened when asked for", func(t *testing.T) {
		moved := options{"openFirewall": true, "settings": options{"http": options{"listen": "[::]:8443"}}}
		local := options{"openFirewall": true, "settings": options{"nats": options{"listen": "127.0.0.1:4222"}}}
		for name, tt := range map[string]struct {
			service options
			want    []int
		}{
			"not asked": {nil, []int{}},
			"asked":     {options{"openFirewall": true}, []int{4222, 443}},
			"moved":     {moved, []int{4222, 8443}},
			"local":     {local, []int{443}},
			"closed":    {options{"openFirewall": true, "settings": options{"nats": options{"listen": ""}}}, []int{443}},
			"elsewhere": {options{"openFirewall": true, "settings": options{"nats": options{"url": "tls://nats.example:4222"}}}, []int{443}},
		} {
			if got := e.mustEvaluate(t, "controller", controllerHost(tt.service, nil)); !slices.Equal(got.Ports, tt.want) {
				t.Errorf("%s: ports %v, want %v", name, got.Ports, tt.want)
			}
		}
	})

	listening := options{"openFirewall": true, "settings": options{"metrics": options{"listen": "[::]:9000"}}}
	if got := e.mustEvaluate(t, "agent", agentHost(listening, nil)); !slices.Equal(got.Ports, []int{9000}) {
		t.Errorf("an agent that is scraped: ports %v are open, want its own", got.Ports)
	}

	t.Run("a host that hangs is reset when asked for", func(t *testing.T) {
		got := e.mustEvaluate(t, "agent", agentHost(options{"resetWhenStuck": true}, nil))
		if want := []string{"panic=30"}; !slices.Equal(got.KernelParams, want) {
			t.Errorf("parameters of the kernel %q, want %q", got.KernelParams, want)
		}
		if diff := cmp.Diff(options{"RuntimeWatchdogSec": "60s"}, got.Manager); diff != "" {
			t.Errorf("settings of systemd (-want +got):\n%s", diff)
		}
		if got := e.mustEvaluate(t, "agent", agentHost(nil, nil)); len(got.KernelParams)+len(got.Manager) > 0 {
			t.Errorf("not asked: %q, %v", got.KernelParams, got.Manager)
		}
	})

	t.Run("monitoring", func(t *testing.T) { testMonitoring(t, e) })
	t.Run("configuration", func(t *testing.T) { testConfiguration(t, e) })
	t.Run("refusals", func(t *testing.T) { testRefusals(t, e) })
}

// testConfiguration shows what the daemons get, and that a system that they would not run on does not build.
func testConfiguration(t *testing.T, e evaluator) {
	got := e.mustEvaluate(t, "agent", agentHost(options{
		"caches": []string{"http://cache.example.org/"},
		"settings": options{"probation": options{
			"grace":  "20s",
			"checks": []options{{"name": "web", "unit": "nginx.service", "required": true}},
		}},
	}, nil))
	if err := e.check(t, got); err != nil {
		t.Errorf("the agent refuses its configuration: %v", err)
	}
	testAgentSettings(t, e)

	testControllerSettings(t, e)
	got = e.mustEvaluate(t, "controller", controllerHost(options{"sources": options{"main": options{"url": "/srv/git/fleet.git", "poll": "5m"}}}, nil))
	if got := got.Settings["sources"].(options)["main"].(options)["poll"]; got != "5m" {
		t.Errorf("a source is looked at every %v, want 5m", got)
	}
	if err := e.check(t, got); err != nil {
		t.Errorf("the controller refuses its configuration: %v", err)
	}

	got = e.mustEvaluate(t, "controller", controllerHost(options{"settings": options{"cache": options{"embedded": false, "push": []options{
		{"url": "s3://fleet?region=eu-central-1", "credentials_file": "/etc/keys/s3"},
		{"url": "ssh-ng://store@cache.example.org", "ssh_key_file": "/etc/keys/cache"},
		{"command": []string{"cachix", "push", "fleet"}, "token_file": "/etc/keys/cachix", "token_variable": "CACHIX_AUTH_TOKEN"},
	}}}}, nil))
	if err := e.check(t, got); err != nil {
		t.Errorf("the controller refuses a configuration without a cache of its own: %v", err)
	}

	testTLS(t, e)
	testNotifications(t, e)

	for _, tt := range []struct {
		service string
		config  options
		want    string // in the error
	}{
		{"agent", agentHost(options{"settings": options{"probation": options{"grase": "20s"}}}, nil), "probation.grase"},
		{"agent", agentHost(options{"servers": []string{"build.example.org"}}, nil), "nats.servers"},
		{"agent", agentHost(nil, options{"networking": options{"hostName": "Web_1"}}), "host: "},
		{"controller", controllerHost(options{"sources": options{"main": options{"url": "/srv/git/fleet.git", "pol": "5m"}}}, nil), "sources.main.pol"},
		{"controller", controllerHost(options{"sources": options{}}, nil), "sources: must name"},
		{"controller", controllerHost(options{"notifications": options{"ops": options{"format": "slack"}}}, nil), "notifications.ops.url"},
		{"controller", controllerHost(options{"cacheUrls": []string{"cache"}}, nil), "cache.urls[0]"},
		{"controller", controllerHost(options{"settings": options{"cache": options{"embedded": false}}}, nil), "cache.push: must name"},
	} {
		err := e.check(t, e.mustEvaluate(t, tt.service, tt.config))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("a system with a wrong configuration of the %s: error %v, want %q in it", tt.service, err, tt.want)
		}
	}
}

// testNotifications shows that the module has every setting of a destination, and that the controller takes it.
func testNotifications(t *testing.T, e evaluator) {
	got := e.mustEvaluate(t, "controller", controllerHost(options{"notifications": options{
		"ops": options{"url_file": "/run/secrets/chat-url", "format": "slack", "events": []string{"rollout-halted"}},
	}}, nil))
	ops := got.Settings["notifications"].(options)["ops"].(options)
	if diff := cmp.Diff(configKeys("", reflect.TypeFor[controller.NotificationConfig]()), keys("", ops)); diff != "" {
		t.Errorf("settings of a destination (-controller's +module's):\n%s", diff)
	}
	if err := e.check(t, got); err != nil {
		t.Errorf("the controller refuses its destinations: %v", err)
	}
}

// testMonitoring shows that Prometheus and Grafana get what there is, where they are asked to.
func testMonitoring(t *testing.T, e evaluator) {
	t.Helper()
	got := e.mustEvaluate(t, "monitoring", with(nil, "kedge-monitoring", options{"alerts": true, "dashboards": true}))
	dir := e.programs + "/share/kedge/"
	var want []string
	files, err := filepath.Glob(filepath.Join(root, "docs/alerts/*.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		want = append(want, dir+"alerts/"+filepath.Base(file))
	}
	if diff := cmp.Diff(want, got.Rules); diff != "" {
		t.Errorf("rules (-there are +Prometheus has):\n%s", diff)
	}
	if diff := cmp.Diff([]options{{"name": "kedge", "options": options{"path": dir + "dashboards"}}}, got.Dashboards); diff != "" {
		t.Errorf("dashboards (-want +got):\n%s", diff)
	}
	testRunbooks(t, e)
	got = e.mustEvaluate(t, "monitoring", with(nil, "kedge-monitoring", options{}))
	if len(got.Rules)+len(got.Dashboards) > 0 {
		t.Errorf("without being asked to: rules %q, dashboards %v", got.Rules, got.Dashboards)
	}
}

// testRunbooks shows that alerts lead to where the runbooks are read, and are else as they were.
func testRunbooks(t *testing.T, e evaluator) {
	t.Helper()
	const page = "https://git.example.org/kedge/src/branch/main/docs/runbooks.md"
	got := e.mustEvaluate(t, "monitoring", with(nil, "kedge-monitoring", options{"alerts": true, "runbooks": page}))
	for _, derivation := range got.Rules {
		out, err := e.machine.RunOffline(t.Context(), "nix-store", "--realise", derivation)
		if err != nil {
			t.Fatal(err)
		}
		file := strings.TrimSpace(out)
		made, err := os.ReadFile(filepath.Join(e.machine.Root(), file))
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(filepath.Base(file), "-")
		shipped, err := os.ReadFile(filepath.Join(root, "docs/alerts", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.ReplaceAll(string(shipped), "docs/runbooks.md#", page+"#"), string(made)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if len(got.Rules) != 3 {
		t.Errorf("rules are %q", got.Rules)
	}
}

// testTLS shows how a certificate gets to the controller.
func testTLS(t *testing.T, e evaluator) {
	t.Helper()
	got := e.mustEvaluate(t, "controller", controllerHost(options{"tls": options{"certificateFile": "/var/lib/acme/cert.pem", "keyFile": "/var/lib/acme/key.pem"}}, nil))
	const dir = "/run/credentials/kedge-controller.service/"
	http := got.Settings["http"].(options)
	if http["certificate_file"] != dir+"tls-certificate" || http["key_file"] != dir+"tls-key" {
		t.Errorf("http in controller.yaml is %v, want the files of %s", http, dir)
	}
	for _, line := range []string{"LoadCredential=tls-certificate:/var/lib/acme/cert.pem\n", "LoadCredential=tls-key:/var/lib/acme/key.pem\n"} {
		if text := got.Units["kedge-controller"].Text; !strings.Contains(text, line) {
			t.Errorf("the unit has no %q: %s", line, text)
		}
	}
	if err := e.check(t, got); err != nil {
		t.Errorf("the controller refuses its configuration: %v", err)
	}
}
