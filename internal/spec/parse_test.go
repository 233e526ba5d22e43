package spec

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/window"
	"kedge/proto"
)

// fleet has tags, as the tests of waves need them.
const tagged = `"hosts": {"web1": {"tags": ["web", "canary"]}, "web2": {"tags": ["web"]}, "db1": {"tags": ["db"]}}`

func TestParseReadsEverything(t *testing.T) {
	got, err := Parse([]byte(`{
		"hosts": {
			"web1": {"tags": ["web", "eu", "web"], "caches": ["https://near.example"], "hold": "being looked at"},
			"db1": {}
		},
		"sites": {"eu": {"hosts": "tag:eu", "caches": ["https://cache.eu.example/nix"]}},
		"rollout": {
			"waves": [
				{"name": "first", "hosts": "tag:web", "soak": "10m"},
				{"name": "second", "hosts": "all",
				 "canary": {"size": "10%", "soak": "5m"}, "maxInFlight": 5, "soak": "1h30m", "approval": true,
				 "budget": {"failed": 2, "success": "1"}, "windows": {"deny": ["12:00-13:00"]}}
			],
			"budget": {"silent": "20%"},
			"silentAfter": "5m",
			"maxSilent": "30%",
			"onBrokenBudget": "revert",
			"windows": {"allow": ["Mon-Fri 09:00-16:00 Europe/Berlin"], "overrun": "pause"},
			"approval": true,
			"freeze": "the fair"
		}
	}`), hostNames(t))
	if err != nil {
		t.Fatal(err)
	}
	working := window.Windows{parsedWindow(t, "Mon-Fri 09:00-16:00 Europe/Berlin")}
	want := Spec{
		Hosts: map[proto.HostName]Host{
			hostName(t, "web1"): {Tags: []string{"eu", "web"}, Caches: []string{"https://near.example"}, Hold: "being looked at"},
			hostName(t, "db1"):  {},
		},
		Sites: map[string]Site{"eu": {Hosts: selector(t, "tag:eu"), Caches: []string{"https://cache.eu.example/nix"}}},
		Rollout: Rollout{
			Waves: []Wave{
				{Name: "first", Hosts: selector(t, "tag:web"), Soak: 10 * time.Minute},
				{
					Name: "second", Hosts: All(),
					Canary: Canary{Size: Percent(10), Soak: 5 * time.Minute}, MaxInFlight: Count(5), Soak: 90 * time.Minute, Approval: true,
					Budget:  &Budget{Failed: Count(2), Silent: Percent(20), Success: Count(1)},
					Windows: &Windows{Allow: working, Deny: window.Windows{parsedWindow(t, "12:00-13:00")}, Overrun: Pause},
				},
			},
			Budget:      Budget{Failed: Count(0), Silent: Percent(20)},
			SilentAfter: 5 * time.Minute, MaxSilent: Percent(30), OnBrokenBudget: Revert,
			Windows:  Windows{Allow: working, Overrun: Pause},
			Approval: true, Freeze: "the fair",
		},
	}
	if diff := cmp.Diff(want, got, comparers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseFillsInDefaults(t *testing.T) {
	got, err := Parse([]byte(`{}`), hostNames(t))
	if err != nil {
		t.Fatal(err)
	}
	want := Rollout{
		Budget: Budget{Failed: Count(0)}, SilentAfter: 15 * time.Minute, MaxSilent: Percent(50), OnBrokenBudget: Halt, Windows: Windows{Overrun: Finish},
	}
	if diff := cmp.Diff(want, got.Rollout, comparers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := Parse(nil, hostNames(t)); err != nil || !cmp.Equal(got, Spec{}, comparers) {
		t.Errorf("no output: got %+v, %v; want the zero value", got, err)
	}
}

func TestParseNamesEveryProblem(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"no JSON":       {`{`, []string{`kedge: is no JSON`}},
		"another type":  {`[]`, []string{`kedge: must be an attribute set, got a list`}},
		"null":          {`null`, []string{`kedge: must be an attribute set, got null`}},
		"a misspelling": {`{"rolout": {}, "xyzzy": 1}`, []string{`kedge.rolout: there is no such attribute; did you mean "rollout"?`, `kedge.xyzzy: there is no such attribute`}},
		"misspellings below": {`{"rollout": {"budgets": {}, "waves": [{"name": "a", "hosts": "all", "maxInFligth": 1}]}}`, []string{
			`kedge.rollout.budgets: there is no such attribute; did you mean "budget"?`,
			`kedge.rollout.waves[0].maxInFligth: there is no such attribute; did you mean "maxInFlight"?`,
		}},
		"other types": {`{"hosts": {"web1": {"tags": "web", "hold": true, "caches": [1]}}, "rollout": {"waves": {}, "approval": "yes", "budget": 3, "windows": []}}`, []string{
			`kedge.hosts.web1.caches[0]: must be a text, got 1`,
			`kedge.hosts.web1.hold: must be a text, got true`,
			`kedge.hosts.web1.tags: must be a list, got "web"`,
			`kedge.rollout.approval: must be true or false, got "yes"`,
			`kedge.rollout.budget: must be an attribute set, got 3`,
			`kedge.rollout.waves: must be a list, got an attribute set`,
			`kedge.rollout.windows: must be an attribute set, got a list`,
		}},
		"hosts that there are not": {`{"hosts": {"wbe1": {"tags": ["web"]}, "Web.2": {}, "mail": {}}, "rollout": {"waves": [{"name": "a", "hosts": "tag:web"}]}}`, []string{
			`kedge.hosts."Web.2": nixosConfigurations has no such host`,
			`kedge.hosts.mail: nixosConfigurations has no such host`,
			`kedge.hosts.wbe1: nixosConfigurations has no such host; did you mean "web1"?`,
		}},
		"names": {`{"hosts": {"web1": {"tags": ["EU", ""]}}, "sites": {"the north": {"hosts": "all"}}, "rollout": {"waves": [{"name": "-", "hosts": "all"}]}}`, []string{
			`kedge.hosts.web1.tags[0]: must be 1 to 63 characters of a-z, 0-9 and hyphens, with none at either end, got "EU"`,
			`kedge.hosts.web1.tags[1]: must be 1 to 63 characters of a-z, 0-9 and hyphens, with none at either end, got ""`,
			`kedge.rollout.waves[0].name: must be 1 to 63 characters of a-z, 0-9 and hyphens, with none at either end, got "-"`,
			`kedge.sites."the north": must be 1 to 63 characters of a-z, 0-9 and hyphens, with none at either end, got "the north"`,
		}},
		"names of waves": {`{"rollout": {"waves": [{"name": "a", "hosts": "web1"}, {"name": "a", "hosts": "web2"}, {"name": "rest", "hosts": "db1"}]}}`, []string{
			`kedge.rollout.waves[1].name: waves[0] is called "a", too`,
			`kedge.rollout.waves[2].name: must not be "rest", as the last wave is called, of the hosts that no other wave has`,
		}},
		"what must be given": {`{"sites": {"eu": {}}, "rollout": {"waves": [{}]}}`, []string{
			`kedge.rollout.waves[0].name: must be given`,
			`kedge.rollout.waves[0].hosts: must be given`,
			`kedge.sites.eu.hosts: must be given`,
		}},
		"durations": {`{"rollout": {"silentAfter": "0s", "waves": [{"name": "a", "hosts": "all", "soak": 10, "canary": {"size": 1, "soak": "-1m"}}, {"name": "b", "hosts": "all", "soak": "0"}, {"name": "c", "hosts": "all", "soak": "ten"}]}}`, []string{
			`kedge.rollout.silentAfter: must be more than 0s`,
			`kedge.rollout.waves[0].canary.soak: must be a text with units such as "10m" or "1h30m", and not negative, got "-1m"`,
			`kedge.rollout.waves[0].soak: must be a text with units such as "10m" or "1h30m", and not negative, got 10`,
			`kedge.rollout.waves[1].soak: must be a text with units such as "10m" or "1h30m", and not negative, got "0"`,
			`kedge.rollout.waves[2].soak: must be a text with units such as "10m" or "1h30m", and not negative, got "ten"`,
			`kedge.rollout.waves[1].hosts: all of the hosts that it selects are in earlier waves`,
			`kedge.rollout.waves[2].hosts: all of the hosts that it selects are in earlier waves`,
		}},
		"amounts": {`{"rollout": {"budget": {"failed": -1, "silent": "101%", "success": 1.5}, "waves": [{"name": "a", "hosts": "all", "maxInFlight": 0, "canary": {"size": "0%"}, "budget": {"failed": "many", "silent": [], "success": "+1"}}]}}`, []string{
			`kedge.rollout.budget.failed: must not be negative, got "-1"`,
			`kedge.rollout.budget.silent: must not be more than 100%, got "101%"`,
			`kedge.rollout.budget.success: must be a number of hosts such as 3, or a percentage such as "10%", got "1.5"`,
			`kedge.rollout.waves[0].budget.failed: must be a number of hosts such as 3, or a percentage such as "10%", got "many"`,
			`kedge.rollout.waves[0].budget.silent: must be a number of hosts such as 3, or a percentage such as "10%", got a list`,
			`kedge.rollout.waves[0].budget.success: must be a number of hosts such as 3, or a percentage such as "10%", got "+1"`,
			`kedge.rollout.waves[0].canary.size: must be at least 1, got 0%`,
			`kedge.rollout.waves[0].maxInFlight: must be at least 1, got 0`,
		}},
		"choices": {`{"rollout": {"onBrokenBudget": "stop", "windows": {"overrun": "Finish"}}}`, []string{
			`kedge.rollout.onBrokenBudget: must be "halt" or "revert", got "stop"`,
			`kedge.rollout.windows.overrun: must be "finish" or "pause", got "Finish"`,
		}},
		"reasons": {`{"rollout": {"freeze": "two\nlines"}}`, []string{
			`kedge.rollout.freeze: must be one line of at most 200 characters`,
		}},
		"caches": {`{"hosts": {"web1": {"caches": ["cache.example", "https://a.example?priority=1"]}}}`, []string{
			`kedge.hosts.web1.caches[0]: cache "cache.example": must be an http or https URL`,
			`kedge.hosts.web1.caches[1]: cache "https://a.example?priority=1": must have no query and no fragment`,
		}},
		"selectors": {`{` + tagged + `, "sites": {"a": {"hosts": "tag:wbe"}, "b": {"hosts": "mail*"}}, "rollout": {"waves": [
			{"name": "a", "hosts": "tag:web plus web1"},
			{"name": "b", "hosts": "tag:web and tag:db"},
			{"name": "c", "hosts": "not tag:canray"},
			{"name": "d", "hosts": "web3"}]}}`, []string{
			`kedge.rollout.waves[0].hosts: "tag:web plus web1" is no selector: at 9: must be "and" or "or", got "plus"`,
			`kedge.sites.a.hosts: no host has the tag "wbe"; did you mean "web"?`,
			`kedge.sites.b.hosts: no host is called "mail*"`,
			`kedge.rollout.waves[1].hosts: "tag:web and tag:db" selects no host`,
			`kedge.rollout.waves[2].hosts: no host has the tag "canray"; did you mean "canary"?`,
			`kedge.rollout.waves[3].hosts: no host is called "web3"; did you mean "web1"?`,
		}},
		"waves that nobody is left for": {`{` + tagged + `, "rollout": {"waves": [{"name": "a", "hosts": "tag:canary"}, {"name": "b", "hosts": "tag:web"}, {"name": "c", "hosts": "web*"}]}}`, []string{
			`kedge.rollout.waves[2].hosts: all of the hosts that it selects are in earlier waves`,
		}},
		"canaries": {`{` + tagged + `, "rollout": {"waves": [
			{"name": "a", "hosts": "tag:canary", "canary": {"size": 1, "hosts": "web1"}},
			{"name": "b", "hosts": "web*", "canary": {"size": 2}},
			{"name": "c", "hosts": "db*", "canary": {"hosts": "web*"}, "soak": "1s"}]}}`, []string{
			`kedge.rollout.waves[0].canary: must have size or hosts, not both`,
			`kedge.rollout.waves[1].canary.size: must not be more than the wave's hosts, of which there are 1, got 2`,
			`kedge.rollout.waves[2].canary.hosts: none of the hosts that it selects is one of the wave's`,
		}},
		"a canary of nobody": {`{"rollout": {"waves": [{"name": "a", "hosts": "all", "canary": {"soak": "5m"}}]}}`, []string{
			`kedge.rollout.waves[0].canary: must have size or hosts, for there is no canary without`,
		}},
		"success that cannot be": {`{"rollout": {"budget": {"success": 2}, "waves": [{"name": "a", "hosts": "web1"}, {"name": "b", "hosts": "db1", "budget": {"success": "100%"}}, {"name": "c", "hosts": "all", "budget": {"success": 3}}]}}`, []string{
			`kedge.rollout.budget.success: can never be reached: 2 hosts of wave "a", which has 1`,
			`kedge.rollout.waves[2].budget.success: can never be reached: 3 hosts of wave "c", which has 1`,
		}},
		"success of all that cannot be": {`{"rollout": {"budget": {"success": 4}}}`, []string{
			`kedge.rollout.budget.success: can never be reached: 4 hosts of wave "all", which has 3`,
		}},
		"windows": {`{"rollout": {"windows": {"allow": ["Mon 25:00-26:00"], "deny": [7]}}}`, []string{
			`kedge.rollout.windows.allow[0]: "Mon 25:00-26:00" is no window such as "Sat,Sun 02:00-04:00 Europe/Berlin": a time must be 00:00 to 24:00, got "25:00"`,
			`kedge.rollout.windows.deny[0]: must be a text, got 7`,
		}},
		"windows that never open": {`{"rollout": {"windows": {"allow": ["Mon 09:00-10:00", "Tue 09:00-10:00 UTC", "Wed 09:00-10:00 Europe/Berlin", "Wed 10:00-12:00"], "deny": ["Mon 09:00-10:00 UTC", "Mon,Tue 06:00-09:30", "Tue 09:30-11:00", "Wed 07:00-11:00"]},
			"waves": [{"name": "a", "hosts": "all", "windows": {"allow": [], "deny": ["00:00-24:00"]}}]}}`, []string{
			`kedge.rollout.windows.allow[0]: "Mon 09:00-10:00 UTC" is in deny, too`,
			`kedge.rollout.windows.allow[1]: "Tue 09:00-10:00 UTC" never opens: deny has all of it`,
			`kedge.rollout.windows.allow[2]: "Wed 09:00-10:00 Europe/Berlin" never opens: deny has all of it`,
			`kedge.rollout.waves[0].windows.deny: leaves no time in which anything could go; what shall stand still for a while has rollout.freeze`,
		}},
		"dated windows that never open": {`{"rollout": {"windows": {"allow": ["1-7 Sat 02:00-04:00", "Feb 29 02:00-04:00", "Dec 24-26 00:00-24:00"], "deny": ["Jan 00:00-24:00", "Dec 20-31 00:00-24:00", "Jul 00:00-24:00"]},
			"waves": [{"name": "a", "hosts": "all", "windows": {"allow": [], "deny": ["Jan-Jun 00:00-24:00", "Jul-Dec 00:00-24:00"]}}]}}`, []string{
			`kedge.rollout.windows.allow[2]: "Dec 24,25,26 00:00-24:00 UTC" never opens: deny has all of it`,
			`kedge.rollout.waves[0].windows.deny: leaves no time in which anything could go; what shall stand still for a while has rollout.freeze`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.spec), hostNames(t))
			var wrong *ParseError
			if !errors.As(err, &wrong) {
				t.Fatalf("got error %v, want a ParseError", err)
			}
			if diff := cmp.Diff(c.want, strings.Split(wrong.Error(), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCachesOf(t *testing.T) {
	s, err := Parse([]byte(`{
		"hosts": {"web1": {"tags": ["eu"], "caches": ["https://own.example", "https://a.example"]}, "web2": {"tags": ["eu"]}},
		"sites": {"z": {"hosts": "all", "caches": ["https://z.example", "https://own.example"]}, "a": {"hosts": "tag:eu", "caches": ["https://a.example"]}}
	}`), hostNames(t))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string][]string{
		"web1": {"https://own.example", "https://a.example", "https://z.example"},
		"web2": {"https://a.example", "https://z.example", "https://own.example"},
		"db1":  {"https://z.example", "https://own.example"},
	} {
		if got := s.CachesOf(hostName(t, host)); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
	if got := (Spec{}).CachesOf(hostName(t, "web1")); len(got) != 0 {
		t.Errorf("without a spec: got %q, want none", got)
	}
}

var comparers = cmp.Options{
	cmp.Comparer(func(a, b proto.HostName) bool { return a == b }),
	cmp.Comparer(func(a, b Amount) bool { return a == b }),
	cmp.Comparer(func(a, b window.Window) bool { return a.String() == b.String() }),
}

func hostNames(t testing.TB) []proto.HostName {
	t.Helper()
	var names []proto.HostName
	for _, name := range []string{"web1", "web2", "db1"} {
		h, err := proto.ParseHostName(name)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h)
	}
	return names
}

func parsedWindow(t *testing.T, text string) window.Window {
	t.Helper()
	w, err := window.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
