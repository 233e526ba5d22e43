// Package summary says in one line each how hosts and rollouts stand, for people. The
// command line and the web page say it alike.
package summary

import (
	"strings"

	"kedge/proto"
)

// Because joins what, why and the details that there are.
func Because(what string, why proto.Reason, details string) string {
	for _, s := range []string{string(why), details} {
		if s != "" {
			what += ": " + s
		}
	}
	return what
}

// FirstLine returns the first line of s.
func FirstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
