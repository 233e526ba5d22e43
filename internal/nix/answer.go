package nix

import (
	"bytes"
	"fmt"
)

// answerLimit is how much an evaluation may print, in bytes: a string in a flake can have
// more than there is memory for.
const answerLimit = 64 << 20

var errAnswer = fmt.Errorf("it evaluates to more than %d MiB; make the flake's output kedge smaller", answerLimit>>20)

// An answer is what a command writes to standard output, up to answerLimit.
type answer struct {
	text bytes.Buffer
	over bool // there was more
}

// Write implements io.Writer.
func (a *answer) Write(p []byte) (int, error) {
	if a.over = a.text.Len()+len(p) > answerLimit; a.over {
		return 0, errAnswer
	}
	return a.text.Write(p)
}
