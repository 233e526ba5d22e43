package spec

import "strings"

// A Problem is one thing that is wrong with a spec.
type Problem struct {
	Path string `json:"path"` // of the attribute, such as "kedge.rollout.waves[1].hosts"
	Text string `json:"text"`
}

func (p Problem) String() string { return p.Path + ": " + p.Text }

// A ParseError is everything that is wrong with a spec.
type ParseError struct{ Problems []Problem } // at least one

func (e *ParseError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
