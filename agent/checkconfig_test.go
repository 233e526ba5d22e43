package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/internal/setup"
)

// checkDocument is where checks are told to people.
const checkDocument = "../docs/checks.md"

// goodConfig is a configuration without problems and without checks.
const goodConfig = `
host: web1
nats: {servers: ["nats://build:4222"], credentials_file: /etc/kedge/creds}
trust:
  release_keys: ["release-1:BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
  controller_keys: ["controller-1:BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
  cache_keys: ["cache-1:BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
`

// loadConfig returns the configuration that is goodConfig and text.
func loadConfig(t *testing.T, text string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte(goodConfig+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return setup.Load(setup.Source[Config]{File: file, Default: DefaultConfig()})
}

// checksOf returns a configuration with these checks, in YAML's flow style.
func checksOf(checks ...string) string {
	return "probation: {deadline: 60s, checks: [" + strings.Join(checks, ", ") + "]}\n"
}

func TestCheckConfig(t *testing.T) {
	for text, want := range map[string]deployment.Check{
		"{name: a, unit: a.service}":                 {Name: "a", Unit: "a.service"},
		"{name: a, unit: a.service, required: true}": {Name: "a", Unit: "a.service", Required: true},
		`{name: a, tcp: "[::1]:25", start_delay: 3s, interval: 2s, timeout: 50ms, retries: 3, successes: 2}`: {
			Name: "a", TCP: "[::1]:25", StartDelay: 3 * time.Second, Interval: 2 * time.Second, Timeout: 50 * time.Millisecond, Retries: 3, Successes: 2,
		},
		"{name: a, exec: [/bin/check, -v, a b]}":   {Name: "a", Exec: []string{"/bin/check", "-v", "a b"}},
		"{name: a, http: {url: http://localhost}}": {Name: "a", HTTP: &deployment.HTTPCheck{URL: "http://localhost"}},
		`{name: a, http: {url: "https://[::1]:8443/x?y=z", status: [200, 302], body: ^ok$, ca_file: /ca.pem, headers: [{name: Host, value: a.example}]}}`: {
			Name: "a", HTTP: &deployment.HTTPCheck{
				URL: "https://[::1]:8443/x?y=z", Status: []int{200, 302}, Body: "^ok$", CAFile: "/ca.pem",
				Headers: []deployment.HTTPHeader{{Name: "Host", Value: "a.example"}},
			},
		},
		"{name: a, http: {url: https://localhost/, insecure: true}}": {Name: "a", HTTP: &deployment.HTTPCheck{URL: "https://localhost/", Insecure: true}},
	} {
		t.Run(text, func(t *testing.T) {
			c, err := loadConfig(t, checksOf(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]deployment.Check{want}, c.Probation.probation().Checks); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckConfigTellsEveryProblem(t *testing.T) {
	for text, want := range map[string][]string{
		"{name: a}":                                                                  {"a: must have exactly one of unit, http, tcp and exec, has 0"},
		"{name: a, unit: a.service, tcp: 'a:1'}":                                     {"has 2"},
		"{name: a, unit: a.service, http: {insecure: true}}":                         {"has 2", "http.url: must be"},
		"{unit: a.service}":                                                          {`"" must be a name of its own`},
		"{name: a, unit: a.service}, {name: a, unit: b.service}":                     {`"a" must be a name of its own`},
		"{name: a, unit: a}":                                                         {`unit: must be the full name of a unit, got "a"`},
		"{name: a, tcp: a}":                                                          {`tcp: must be host:port, got "a"`},
		"{name: a, tcp: ':1'}":                                                       {`tcp: must be host:port, got ":1"`},
		"{name: a, tcp: 'a:65536'}":                                                  {"tcp: must be host:port"},
		"{name: a, tcp: 'a:0'}":                                                      {"tcp: must be host:port"},
		"{name: a, exec: [check]}":                                                   {`exec: must begin with the absolute path of a program, got ["check"]`},
		"{name: a, exec: /bin/check}":                                                {"exec: must be a list", "has 0"},
		"{name: a, http: {url: 'ftp://a/'}}":                                         {`http.url: must be an http:// or https:// URL, got "ftp://a/"`},
		"{name: a, http: {url: 'http://'}}":                                          {"http.url: must be"},
		"{name: a, http: {url: 'http://a:99999/'}}":                                  {"http.url: must be"},
		"{name: a, http: {url: 'http://a:b:c/'}}":                                    {"http.url: must be"},
		"{name: a, http: {url: 'http://me:secret@a/'}}":                              {"http.url: must not have a user"},
		"{name: a, http: {url: 'http://a/', body: '('}}":                             {"http.body: must be a regular expression"},
		"{name: a, http: {url: 'http://a/', status: [20]}}":                          {"http.status: must be from 200 to 599, got 20"},
		"{name: a, http: {url: 'http://a/', status: 200}}":                           {"http.status: must be a list"},
		"{name: a, http: {url: 'http://a/', headers: [{name: 'a b', value: c}]}}":    {`http.headers: "a b: c" is not a header`},
		"{name: a, http: {url: 'http://a/', headers: [{name: a, value: \"b\\n\"}]}}": {"is not a header"},
		"{name: a, http: {url: 'http://a/', ca_file: ca.pem}}":                       {"http.ca_file: must be an absolute path"},
		"{name: a, http: {url: 'http://a/', ca_file: /ca.pem, insecure: true}}":      {"ca_file says nothing where insecure is true"},
		"{name: a, http: {url: 'http://a/', method: POST}}":                          {"unknown key"},
		"{name: a, unit: a.service, interval: 30}":                                   {"interval: must be a duration"},
		"{name: a, unit: a.service, interval: 30ns, timeout: 30ns}":                  {"interval: must be at least 100ms, got 30ns", "timeout: must be at least 10ms, got 30ns"},
		"{name: a, unit: a.service, start_delay: -1s}":                               {"start_delay: must not be negative"},
		"{name: a, unit: a.service, timeout: 60s}":                                   {"must end the first try before probation.deadline, 1m0s, got 1m0s"},
		"{name: a, unit: a.service, start_delay: 55s}":                               {"must end the first try before probation.deadline"},
		"{name: a, unit: a.service, retries: -1, successes: -1}":                     {"retries: must not be negative", "successes: must not be negative"},
	} {
		t.Run(text, func(t *testing.T) {
			_, err := loadConfig(t, checksOf(text))
			invalid, ok := errors.AsType[*setup.ConfigError](err)
			if !ok || len(invalid.Problems) != len(want) {
				t.Fatalf("got %v, want %d problems", err, len(want))
			}
			for _, problem := range want {
				if !strings.Contains(err.Error(), problem) {
					t.Errorf("got %v, want %q", err, problem)
				}
			}
		})
	}
}

// A check that this agent does not know is not passed over in another system's
// configuration: that system is refused.
func TestUnknownKindOfCheckIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte(checksOf("{name: a, carrier_pigeon: coo, required: true}")), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := readJudged(file)
	if _, refused := errors.AsType[*closure.Rejection](err); !refused {
		t.Errorf("got %+v, %v", p, err)
	}
}

// A record that was written before there were other kinds is read as it was
// meant, and the other way round.
func TestChecksOfUnitsAreOnDiskAsTheyWere(t *testing.T) {
	const text = `{"name":"web","unit":"nginx.service","required":true}`
	var c deployment.Check
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(deployment.Check{Name: "web", Unit: "nginx.service", Required: true}, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := json.Marshal(c); err != nil || string(got) != text {
		t.Errorf("got %s, %v; want %s", got, err, text)
	}
}

// TestDocumentOfChecks decodes every example, and looks for every key.
func TestDocumentOfChecks(t *testing.T) {
	b, err := os.ReadFile(checkDocument)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for n, block := range strings.Split(string(b), "```yaml\n")[1:] {
		text, _, closed := strings.Cut(block, "```")
		c, err := loadConfig(t, text)
		if err != nil || !closed || len(c.Probation.Checks) == 0 {
			t.Errorf("example %d: %v; it has %d checks:\n%s", n+1, err, len(c.Probation.Checks), text)
			continue
		}
		for _, k := range c.Probation.Checks {
			kinds[kindOf(k)] = true
		}
	}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, []string{"exec", "http", "tcp", "unit"}) {
		t.Errorf("there are examples of %q, want of every kind", got)
	}
	for _, key := range append(keysOf(reflect.TypeFor[CheckConfig](), ""), keysOf(reflect.TypeFor[HTTPCheckConfig](), "http.")...) {
		if !strings.Contains(string(b), fmt.Sprintf("| `%s` |", key)) {
			t.Errorf("%s has no row for the key %s", checkDocument, key)
		}
	}
}

func kindOf(c CheckConfig) string {
	switch {
	case c.HTTP.set():
		return "http"
	case c.TCP != "":
		return "tcp"
	case len(c.Exec) > 0:
		return "exec"
	default:
		return "unit"
	}
}

// keysOf returns the keys of a section, but for sections in it.
func keysOf(section reflect.Type, prefix string) []string {
	var keys []string
	for f := range section.Fields() {
		if f.Type.Kind() != reflect.Struct {
			keys = append(keys, prefix+f.Tag.Get("config"))
		}
	}
	return keys
}
