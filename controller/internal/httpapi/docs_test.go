package httpapi_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
)

// example is a block of the guide, of a language.
var example = regexp.MustCompile("(?ms)^```(sh|output)\n(.*?)^```$")

// TestTheGuideHasEveryCall, with its method and role.
func TestTheGuideHasEveryCall(t *testing.T) {
	text, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (GET|POST) (`.*`) \\| (\\w+) \\|").FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile("[a-z-]+").FindAllString(row[2], -1) {
			calls[name] = row[1] + " " + row[3]
		}
	}
	want := map[string]string{}
	for _, e := range proto.Endpoints() {
		method := "POST"
		if e.Reads() {
			method = "GET"
		}
		want[e.Name()] = method + " " + string(e.Role())
	}
	if d := cmp.Diff(want, calls); d != "" {
		t.Errorf("docs/api.md (-want +got):\n%s", d)
	}
}

// TestTheGuideWorks: what docs/api.md says to type does what it says, with the real curl.
func TestTheGuideWorks(t *testing.T) {
	text, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	b := startBox(t)
	web1 := b.publish(t)
	pin, _ := b.Pin()
	dir := t.TempDir()
	config := "insecure\npinnedpubkey = \"" + strings.Replace(pin.String(), "sha256:", "sha256//", 1) + "\"\n" +
		"header = \"Authorization: Bearer " + b.tokens["operator"] + "\"\n"
	if err := os.WriteFile(filepath.Join(dir, "kedge.curlrc"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	examples := example.FindAllSubmatch(text, -1)
	if len(examples) < 5 {
		t.Fatalf("docs/api.md has %d examples", len(examples))
	}
	said := ""
	for _, m := range examples {
		script := string(m[2])
		if string(m[1]) == "output" {
			if strings.TrimSpace(said) != strings.TrimSpace(script) {
				t.Errorf("it printed %q, want %q", said, script)
			}
			continue
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "API=https://"+b.HTTPAddress()+"/api/v1", "CURL_HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s\n%v: %s", script, err, out)
		}
		said = string(out)
		if strings.Contains(said, "null") || strings.Contains(script, "/fleet?limit=100") && !strings.HasPrefix(said, web1.String()+"\t") {
			t.Errorf("%s\nprinted %q", script, said)
		}
	}
}

// publish has a host of the fleet built and published, and returns it.
func (b *box) publish(t *testing.T) proto.HostName {
	t.Helper()
	web1, err := proto.ParseHostName("web1")
	if err != nil {
		t.Fatal(err)
	}
	toplevel, err := controllertest.Toplevel("one")
	if err != nil {
		t.Fatal(err)
	}
	b.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: toplevel}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := bus.Call[proto.ReconcileRequest, proto.ReconcileReply](ctx, b.admin, proto.EndpointReconcile, proto.ReconcileRequest{}); err != nil {
		t.Fatal(err)
	}
	for after := uint64(0); ; {
		r, err := bus.Call[proto.FleetRequest, proto.FleetReply](ctx, b.admin, proto.EndpointFleet, proto.FleetRequest{After: after, Wait: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Hosts) == 1 && r.Hosts[0].Want.Toplevel == toplevel && len(r.Sources) == 1 && r.Sources[0].Checked.After(time.Time{}) {
			return web1
		}
		after = r.Version
	}
}
