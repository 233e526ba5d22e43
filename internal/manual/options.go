package manual

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// An Option is an option of a NixOS module, or of a fleet, as nixos-module/tests/options.nix has it.
type Option struct {
	Name, Type, Description string
	Default, Example        json.RawMessage // nil if there is none
}

// Options returns the reference of options, in the order of their names, below a title and what there is to say
// about all of them.
func Options(title, about string, options []Option) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n%s\n", title, about)
	sorted := slices.SortedFunc(slices.Values(options), func(a, b Option) int { return strings.Compare(a.Name, b.Name) })
	for _, o := range sorted {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n- Type: %s\n", strings.NewReplacer("<", `\<`, "*", `\*`).Replace(o.Name), plain(o.Description), o.Type)
		for _, value := range []struct {
			what string
			json json.RawMessage
		}{{"Default", o.Default}, {"Example", o.Example}} {
			text, err := nixValue(value.json)
			if err != nil {
				return nil, fmt.Errorf("%s of %s: %w", strings.ToLower(value.what), o.Name, err)
			}
			if text != "" {
				fmt.Fprintf(&b, "- %s: %s\n", value.what, text)
			}
		}
	}
	return b.Bytes(), nil
}

// role is what nixpkgs' Markdown has before some code.
var role = regexp.MustCompile("\\{(?:option|file|command|env)\\}`") //nolint:gochecknoglobals // compiled once

// plain returns a description as every reader of Markdown takes it.
func plain(description string) string {
	return role.ReplaceAllString(strings.TrimSpace(description), "`")
}

// nixValue returns a value as Markdown: Nix's, or what its author wrote in place of it.
func nixValue(raw json.RawMessage) (string, error) {
	if raw == nil {
		return "", nil
	}
	var v any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // as it is written
	if err := decoder.Decode(&v); err != nil {
		return "", err
	}
	written, _ := v.(map[string]any)
	text, _ := written["text"].(string)
	switch written["_type"] {
	case "literalMD":
		return text, nil
	case "literalExpression":
		return "`" + text + "`", nil
	}
	return "`" + nixText(v) + "`", nil
}

// nixText returns a decoded value as Nix has it, on one line.
func nixText(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case []any:
		var all strings.Builder
		all.WriteString("[ ")
		for _, element := range v {
			all.WriteString(nixText(element) + " ")
		}
		return all.String() + "]"
	case map[string]any:
		var all strings.Builder
		all.WriteString("{ ")
		for _, name := range slices.Sorted(maps.Keys(v)) {
			all.WriteString(name + " = " + nixText(v[name]) + "; ")
		}
		return all.String() + "}"
	case string:
		b, err := json.Marshal(v)
		if err == nil {
			return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b))
		}
	}
	return fmt.Sprint(v)
}
