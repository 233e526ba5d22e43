package check

import "strings"

// messageLimit is how many bytes a message has at most: those of many checks
// have to fit into a status.
const messageLimit = 400

// clip returns the beginning of s as one line.
func clip(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "\n", " ")
	if len(s) <= messageLimit {
		return s
	}
	return strings.ToValidUTF8(s[:messageLimit], "") + "…"
}
