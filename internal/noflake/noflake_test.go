package noflake

import (
	"strings"
	"testing"
)

func TestEntriesThatCannotBeMeant(t *testing.T) {
	for _, e := range []Entry{
		{}, {File: "default.nix"}, {File: "nix/fleet/hosts.nix", Attribute: "hosts"}, {File: "nix", Attribute: "production.hosts'"}, {File: "..nix"},
	} {
		if problems := e.Problems(); len(problems) > 0 {
			t.Errorf("%+v: problems %v, want none", e, problems)
		}
	}
	for _, c := range []struct {
		entry Entry
		want  []string
	}{
		{Entry{Attribute: "hosts"}, []string{"attribute: must be empty without file"}},
		{Entry{File: "/etc/nixos/default.nix"}, []string{"file: "}},
		{Entry{File: "../default.nix"}, []string{"file: "}},
		{Entry{File: ".."}, []string{"file: "}},
		{Entry{File: "a/../../default.nix"}, []string{"file: "}},
		{Entry{File: "./default.nix"}, []string{"file: "}},
		{Entry{File: `${throw "x"}.nix`}, []string{"file: "}},
		{Entry{File: `a".nix`, Attribute: "a.."}, []string{"file: ", "attribute: "}},
		{Entry{File: "default.nix", Attribute: `a."b"`}, []string{"attribute: "}},
		{Entry{File: "default.nix", Attribute: "${x}"}, []string{"attribute: "}},
		{Entry{File: "default.nix", Attribute: "hosts\n"}, []string{"attribute: "}},
	} {
		problems := c.entry.Problems()
		if len(problems) != len(c.want) {
			t.Errorf("%+v: problems %v, want %q", c.entry, problems, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(problems[i].Error(), want) {
				t.Errorf("%+v: problem %q, want %q", c.entry, problems[i], want)
			}
		}
	}
}

// TestTheFlakeNamesWhatIsMeant; package build evaluates such flakes.
func TestTheFlakeNamesWhatIsMeant(t *testing.T) {
	got := Entry{File: "nix/fleet.nix", Attribute: "production.hosts"}.Flake("./source", "")
	for _, want := range []string{`./source + "/nix/fleet.nix"`, `[ "production" ]`, `select beside "hosts"`, "no attribute production.hosts"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if got := (Entry{File: "default.nix"}).Flake("./source", ""); !strings.Contains(got, `select beside "nixosConfigurations"`) || strings.Contains(got, "@") {
		t.Errorf("without an attribute:\n%s", got)
	}
}
