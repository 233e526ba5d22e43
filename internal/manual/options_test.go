package manual

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOptions(t *testing.T) {
	got, err := Options("Options of a service", "All below `services`.", []Option{
		{
			Name: "services.x.settings", Type: "open submodule of (YAML value)", Description: "See {file}`/etc/x` and {option}`services.y`.\n",
			Default: json.RawMessage(`{}`), Example: json.RawMessage(`{"wait": 1000000000, "on": true, "of": ["a", "<b>"]}`),
		},
		{Name: "services.x.checks.<name>.url", Type: "string", Description: "What to GET."},
		{
			Name: "services.x.package", Type: "package", Description: "Which.",
			Default: json.RawMessage(`{"_type": "literalExpression", "text": "pkgs.x"}`), Example: json.RawMessage(`{"_type": "literalMD", "text": "another"}`),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "# Options of a service\n\nAll below `services`.\n" +
		"\n## services.x.checks.\\<name>.url\n\nWhat to GET.\n\n- Type: string\n" +
		"\n## services.x.package\n\nWhich.\n\n- Type: package\n- Default: `pkgs.x`\n- Example: another\n" +
		"\n## services.x.settings\n\nSee `/etc/x` and `services.y`.\n\n- Type: open submodule of (YAML value)\n- Default: `{ }`\n" +
		"- Example: `{ of = [ \"a\" \"<b>\" ]; on = true; wait = 1000000000; }`\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := Options("", "", []Option{{Name: "x", Default: json.RawMessage(`{`)}}); err == nil {
		t.Error("a default that is no JSON: no error")
	}
}
