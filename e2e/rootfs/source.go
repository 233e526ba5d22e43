package rootfs

import "strings"

// A source is one place that apt takes binary packages from.
type source struct {
	uri        string
	suites     []string
	components []string
}

// parseList parses a file in apt's one-line format.
func parseList(content string) (found []source) {
	for line := range strings.Lines(content) {
		line, _, _ = strings.Cut(line, "#")
		if before, rest, ok := strings.Cut(line, "["); ok {
			_, after, _ := strings.Cut(rest, "]")
			line = before + after
		}
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "deb" {
			continue
		}
		found = append(found, source{uri: fields[1], suites: fields[2:3], components: fields[3:]})
	}
	return found
}

// parseDeb822 parses a file in apt's stanza format.
func parseDeb822(content string) (found []source) {
	for stanza := range strings.SplitSeq(content, "\n\n") {
		found = append(found, parseStanza(stanza)...)
	}
	return found
}

func parseStanza(stanza string) (found []source) {
	values := map[string][]string{}
	var last string
	for line := range strings.Lines(stanza) {
		name, value, ok := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " "), strings.HasPrefix(line, "\t"):
			values[last] = append(values[last], strings.Fields(line)...)
		case ok:
			last = strings.ToLower(name)
			values[last] = strings.Fields(value)
		}
	}
	disabled := len(values["enabled"]) > 0 && values["enabled"][0] == "no"
	if disabled || len(values["types"]) == 0 || values["types"][0] != "deb" {
		return nil
	}
	for _, uri := range values["uris"] {
		found = append(found, source{uri: uri, suites: values["suites"], components: values["components"]})
	}
	return found
}
