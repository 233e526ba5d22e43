//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kedge/agent"
	"kedge/controller"
	"kedge/internal/setup"
	"kedge/internal/spec"
	"kedge/internal/window"
	"kedge/proto"
)

// testAgentSettings shows that the module and the agent agree: on what there is to set, on what holds where
// nothing is set, and on what is set.
func testAgentSettings(t *testing.T, e evaluator) {
	got := e.mustEvaluate(t, "agent", agentHost(nil, nil))
	want := agent.DefaultConfig()
	key := mustKey(t)
	want.Host = mustHost(t, "web1")
	want.NATS.Servers = []string{"wss://build.example.org/nats"}
	want.NATS.CredentialsFile = "/run/secrets/kedge.creds"
	want.Trust.ReleaseKeys, want.Trust.ControllerKeys, want.Trust.CacheKeys = key, key, key
	want.Log.Format = setup.LogAuto
	equal := cmp.Options{
		cmpopts.EquateComparable(proto.HostName{}, proto.Pin{}), cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b proto.PublicKey) bool { return a.String() == b.String() }),
		cmp.Comparer(func(a, b window.Window) bool { return a.String() == b.String() }),
	}
	if diff := cmp.Diff(want, load(t, got, agent.DefaultConfig()), equal); diff != "" {
		t.Errorf("a host that sets nothing (-agent's default +module's):\n%s", diff)
	}

	// What is left out has an option of the module, or needs one only where it is set.
	elsewhere := []string{"machine_id", "nats.tls.ca_file", "nats.tls.pins", "probation.checks"}
	settable := append(keys("", got.Settings), elsewhere...)
	slices.Sort(settable)
	if diff := cmp.Diff(configKeys("", reflect.TypeFor[agent.Config]()), settable); diff != "" {
		t.Errorf("settings (-agent's +module's):\n%s", diff)
	}

	testMuchSet(t, e, want, equal)
}

// testMuchSet shows what becomes of what is set, on top of the rest of want.
func testMuchSet(t *testing.T, e evaluator, want agent.Config, equal cmp.Options) {
	t.Helper()
	got := e.mustEvaluate(t, "agent", agentHost(options{
		"caches":    []string{"https://cache.example.org/"},
		"pins":      []string{examplePin},
		"machineId": "22823ba6c96947e78b006c51a56fd89c",
		"checks": options{
			"nginx": options{"unit": "nginx.service", "required": true, "startDelay": "20s", "retries": 3},
			"smtp":  options{"tcp": "localhost:25", "successes": 2},
			"lag":   options{"exec": []string{"/run/current-system/sw/bin/lag", "--max=30s"}, "interval": "5s", "timeout": "2s"},
			"web": options{"http": options{
				"url": "https://localhost/health", "status": []int{200, 204}, "body": "ok", "headers": options{"Host": "www.example.org"},
				"caFile": "/etc/ssl/internal.pem",
			}},
		},
		"settings": options{
			"probation": options{"grace": "20s"},
			"reboot":    options{"windows": []string{"Sat,Sun 02:00-04:00 Europe/Berlin"}, "lease": true},
			"hooks":     options{"pre_reboot": []options{{"exec": []string{"/run/current-system/sw/bin/drain", "--now"}}}},
		},
	}, nil))
	want.Caches = []string{"https://cache.example.org/"}
	want.MachineID = "22823ba6c96947e78b006c51a56fd89c"
	want.NATS.TLS.Pins = []proto.Pin{mustPin(t)}
	want.Probation.Grace = 20 * time.Second
	want.Probation.Checks = []agent.CheckConfig{
		{Name: "lag", Exec: []string{"/run/current-system/sw/bin/lag", "--max=30s"}, Interval: 5 * time.Second, Timeout: 2 * time.Second, Successes: 1},
		{Name: "nginx", Unit: "nginx.service", Required: true, StartDelay: 20 * time.Second, Interval: time.Second, Timeout: 5 * time.Second, Retries: 3, Successes: 1},
		{Name: "smtp", TCP: "localhost:25", Interval: time.Second, Timeout: 5 * time.Second, Successes: 2},
		{Name: "web", Interval: time.Second, Timeout: 5 * time.Second, Successes: 1, HTTP: agent.HTTPCheckConfig{
			URL: "https://localhost/health", Status: []int{200, 204}, Body: "ok", CAFile: "/etc/ssl/internal.pem",
			Headers: []agent.HTTPHeaderConfig{{Name: "Host", Value: "www.example.org"}},
		}},
	}
	saturdays, err := window.Parse("Sat,Sun 02:00-04:00 Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	want.Reboot.Windows, want.Reboot.Lease = window.Windows{saturdays}, true
	want.Hooks.PreReboot = []agent.HookConfig{{Exec: []string{"/run/current-system/sw/bin/drain", "--now"}, Timeout: time.Minute}}
	if diff := cmp.Diff(want, load(t, got, agent.DefaultConfig()), equal); diff != "" {
		t.Errorf("a host that sets much (-want +loaded by the agent):\n%s", diff)
	}
}

// testControllerSettings shows the same of the controller.
func testControllerSettings(t *testing.T, e evaluator) {
	t.Helper()
	got := e.mustEvaluate(t, "controller", controllerHost(nil, nil))
	want := controller.DefaultConfig()
	var main controller.SourceConfig
	main.SetDefaults()
	main.URL = "/srv/git/fleet.git"
	want.Sources = map[string]controller.SourceConfig{"main": main}
	want.NATS.Advertise, want.Cache.URLs = []string{"wss://build.example.org/nats"}, []string{"https://build.example.org/cache/"}
	want.Build.Remote = false // no host of these tests has builders
	want.Build.EvalUser = "kedge-eval"
	want.Log.Format = setup.LogAuto
	equal := cmp.Options{
		cmpopts.EquateComparable(netip.Prefix{}, proto.Pin{}), cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b proto.PublicKey) bool { return a.String() == b.String() }),
		cmp.Comparer(func(a, b spec.Selector) bool { return a.String() == b.String() }),
	}
	if diff := cmp.Diff(want, load(t, got, controller.DefaultConfig()), equal); diff != "" {
		t.Errorf("a build host that sets nothing (-controller's default +module's):\n%s", diff)
	}
	source := got.Settings["sources"].(options)["main"].(options)
	if diff := cmp.Diff(configKeys("", reflect.TypeFor[controller.SourceConfig]()), keys("", source)); diff != "" {
		t.Errorf("settings of a source (-controller's +module's):\n%s", diff)
	}
	delete(got.Settings, "sources")
	delete(got.Settings, "notifications")
	elsewhere := []string{"sources", "notifications", "http.certificate_file", "http.key_file", "nats.tls.ca_file", "nats.tls.pins"}
	settable := append(keys("", got.Settings), elsewhere...)
	slices.Sort(settable)
	if diff := cmp.Diff(configKeys("", reflect.TypeFor[controller.Config]()), settable); diff != "" {
		t.Errorf("settings (-controller's +module's):\n%s", diff)
	}
}

// load returns the configuration that a daemon finds.
func load[T setup.Validator](t *testing.T, got evaluation, byDefault T) T {
	t.Helper()
	text, err := json.Marshal(got.Settings)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := setup.Load(setup.Source[T]{File: file, Default: byDefault})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// keys returns the keys of what is set, such as nats.servers, in order.
func keys(prefix string, set options) (all []string) {
	for name, value := range set {
		if below, isSet := value.(options); isSet {
			all = append(all, keys(prefix+name+".", below)...)
		} else {
			all = append(all, prefix+name)
		}
	}
	slices.Sort(all)
	return all
}

// configKeys returns the keys of a configuration, in order.
func configKeys(prefix string, config reflect.Type) (all []string) {
	for field := range config.Fields() {
		key := prefix + field.Tag.Get("config")
		if field.Type.Kind() == reflect.Struct && strings.HasPrefix(field.Type.PkgPath(), "kedge/") && field.Type.NumField() > 0 && field.Type.Field(0).Tag.Get("config") != "" {
			all = append(all, configKeys(key+".", field.Type)...)
		} else {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

const examplePin = "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

func mustPin(t *testing.T) proto.Pin {
	t.Helper()
	p, err := proto.ParsePin(examplePin)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustKey(t *testing.T) []proto.PublicKey {
	t.Helper()
	k, err := proto.ParsePublicKey(exampleKey)
	if err != nil {
		t.Fatal(err)
	}
	return []proto.PublicKey{k}
}

func mustHost(t *testing.T, name string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
