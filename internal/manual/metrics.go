package manual

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// description is how a metric says what it is: the only way to ask it.
var description = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "(.*?)", (?:unit: "[^"]*", )?constLabels: \{.*\}, variableLabels: \{(.*)\}\}$`) //nolint:gochecknoglobals // compiled once

// Metrics returns the reference of a program's own metrics, whose names begin with prefix: of each the type,
// the labels and the help. It is what registry may show, and not only what it shows now.
func Metrics(program, prefix string, registry *prometheus.Registry) ([]byte, error) {
	types := map[string]string{}
	families, err := registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", program, err)
	}
	for _, f := range families {
		types[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	descs := make(chan *prometheus.Desc)
	go func() { // read to its end below
		registry.Describe(descs)
		close(descs)
	}()
	rows := map[string]string{}
	for d := range descs {
		m := description.FindStringSubmatch(d.String())
		if m == nil || !strings.HasPrefix(m[1], prefix) {
			continue
		}
		name, help, labels := m[1], m[2], ""
		if m[3] != "" {
			labels = "`" + strings.ReplaceAll(m[3], ",", "`, `") + "`"
		}
		rows[name] = fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, typeOf(name, types), labels, help)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Metrics of %s\n\n| name | type | labels | what it says |\n|---|---|---|---|\n", program)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		b.WriteString(rows[name])
	}
	return b.Bytes(), nil
}

// typeOf returns the type of a metric, also of one that does not show yet.
func typeOf(name string, shown map[string]string) string {
	switch {
	case shown[name] != "":
		return shown[name]
	case strings.HasSuffix(name, "_total"):
		return "counter"
	}
	return "gauge"
}
