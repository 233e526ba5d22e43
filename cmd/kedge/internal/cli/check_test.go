package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/nix"
)

const checkedOutputs = `{"hosts": ["build", "db1", "web1", "web2", "web3", "No_Host"], "kedge": {
	"hosts": {"web1": {"tags": ["web", "canary"]}, "web2": {"tags": ["web"], "hold": "its disk is swapped"}, "web3": {"tags": ["web"]}},
	"sites": {"eu": {"hosts": "tag:web", "caches": ["https://cache.eu.example"]}},
	"rollout": {
		"waves": [
			{"name": "first", "hosts": "tag:canary", "soak": "10m"},
			{"name": "web", "hosts": "tag:web", "canary": {"size": "10%", "soak": "5m"}, "maxInFlight": "50%", "approval": true, "budget": {"silent": "20%"}},
			{"name": "db", "hosts": "db*", "canary": {"hosts": "db1"}, "windows": {"deny": ["Sat,Sun 00:00-24:00"]}}
		],
		"approval": true,
		"windows": {"allow": ["Mon-Fri 09:00-16:00 Europe/Berlin"]},
		"freeze": "the fair"
	}
}}`

func TestCheckSaysWhatWasUnderstood(t *testing.T) {
	const want = `WAVE   HOSTS      CANARY      IN FLIGHT  SOAK   BUDGET                WAITS FOR
first  web1       -           -          10m0s  failed 0              approval; Mon,Tue,Wed,Thu,Fri 09:00-16:00 Europe/Berlin
web    web2 web3  1 for 5m0s  50%        -      failed 0, silent 20%  approval; Mon,Tue,Wed,Thu,Fri 09:00-16:00 Europe/Berlin
db     db1        db1         -          -      failed 0              Mon,Tue,Wed,Thu,Fri 09:00-16:00 Europe/Berlin; not Sat,Sun 00:00-24:00 UTC
rest   build      -           -          -      failed 0              Mon,Tue,Wed,Thu,Fri 09:00-16:00 Europe/Berlin

SITE  HOSTS           CACHES
eu    web1 web2 web3  https://cache.eu.example

web2 is held: its disk is swapped
nothing new goes out: the fair
`
	got, err := runCheck(t, checkedOutputs, "check")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCheckWithoutASpecIsOneWave(t *testing.T) {
	got, err := runCheck(t, `{"hosts": ["web1", "db1"]}`, "check")
	if want := "WAVE  HOSTS     CANARY  IN FLIGHT  SOAK  BUDGET  WAITS FOR\nall   db1 web1  -       -          -     -       -\n"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestCheckNamesEveryProblem(t *testing.T) {
	const wrong = `{"hosts": ["web1"], "kedge": {"rolout": {}, "hosts": {"web2": {}}}}`
	out, err := runCheck(t, wrong, "check")
	want := "kedge.hosts.web2: nixosConfigurations has no such host; did you mean \"web1\"?\nkedge.rolout: there is no such attribute; did you mean \"rollout\"?"
	if err == nil || err.Error() != want || out != "" || ExitCode(err) != ExitError {
		t.Errorf("got %q, error %v; want the error\n%s", out, err, want)
	}

	out, err = runCheck(t, wrong, "check", "--json")
	if err == nil || ExitCode(err) != ExitError {
		t.Errorf("with --json: got error %v, want one", err)
	}
	var got checked
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Problems) != 2 || got.Problems[1].Path != "kedge.rolout" {
		t.Errorf("with --json: got %s, %v; want both problems", out, err)
	}
}

func TestCheckPrintsJSON(t *testing.T) {
	out, err := runCheck(t, checkedOutputs, "check", "--json")
	var got checked
	if err != nil || json.Unmarshal([]byte(out), &got) != nil {
		t.Fatalf("got %s, %v", out, err)
	}
	if len(got.Waves) != 4 || got.Waves[1].Name != "web" || len(got.Waves[1].Hosts) != 2 || got.Hosts[2].Caches[0] != "https://cache.eu.example" {
		t.Errorf("got %s", out)
	}
}

// A list that is empty is one all the same, for who reads it.
func TestCheckPrintsAnEmptyListAsJSON(t *testing.T) {
	out, err := runCheck(t, `{"hosts": ["web1"], "kedge": {"sites": {"eu": {"hosts": "web1"}}}}`, "check", "--json")
	if err != nil || !strings.Contains(out, `"caches": []`) {
		t.Errorf("got %s, %v; want an empty list of the site's caches", out, err)
	}
}

func TestCheckThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		outputs string
		args    []string
		want    string
		code    int
	}{
		"an attribute":               {checkedOutputs, []string{"check", ".#kedge"}, "without an attribute", ExitUsage},
		"nothing there":              {checkedOutputs, []string{"check", "fleeet"}, "neither a directory nor a flake reference", ExitUsage},
		"two flakes":                 {checkedOutputs, []string{"check", ".", "."}, "accepts at most 1 arg", ExitUsage},
		"no directory":               {checkedOutputs, []string{"check", "--file", "default.nix", "path:/x"}, "it must be a directory", ExitUsage},
		"no file":                    {checkedOutputs, []string{"check", "--file", "../default.nix"}, "file: must be a file inside", ExitUsage},
		"no flake's":                 {checkedOutputs, []string{"check", "--attribute", "hosts"}, "attribute: must be empty without file", ExitUsage},
		"no directory of submodules": {checkedOutputs, []string{"check", "--submodules", "path:/x"}, "it must be a directory; a reference may say ?submodules=1", ExitUsage},
		"not git's":                  {checkedOutputs, []string{"check", "--submodules", "--file", "default.nix", "/"}, "it must be git's", ExitUsage},
		"nobody in it":               {`{"hosts": []}`, []string{"check"}, "there are no hosts", ExitError},
		"it is no flake":             {"", []string{"check", "path:/x"}, "evaluate path:/x: no such flake", ExitError},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := runCheck(t, c.outputs, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) || ExitCode(err) != c.code {
				t.Errorf("got error %v, exit code %d; want %q and %d", err, ExitCode(err), c.want, c.code)
			}
		})
	}
}

// runCheck runs kedge where flakes have these outputs, or none.
func runCheck(t *testing.T, outputs string, args ...string) (string, error) {
	t.Helper()
	var stdout bytes.Buffer
	err := Run(t.Context(), Options{
		Stdout: &stdout, Stderr: t.Output(), Getenv: func(string) string { return "" },
		Eval: func(_ context.Context, o nix.EvalOptions) (json.RawMessage, error) {
			if !strings.HasSuffix(o.Installable, "#.") {
				t.Errorf("evaluated %s, want all outputs", o.Installable)
			}
			if outputs == "" {
				return nil, errors.New("no such flake")
			}
			return json.RawMessage(outputs), nil
		},
	}, args)
	return stdout.String(), err
}
