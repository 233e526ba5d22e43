package nix

import (
	"bytes"
	"fmt"
)

// lineLimit is how long a line may be, in bytes, before what writes it is taken
// for broken.
const lineLimit = 4 << 20

// lines calls each with every whole line that is written to it, without its end.
// What follows the last one is no line.
type lines struct {
	each  func(line []byte) error
	lossy bool // lines that are too long are left out, and nothing is broken

	rest    []byte
	leaving bool // out the line that rest is the end of
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			break
		}
		l.rest = rest
		if l.leaving {
			l.leaving = false
			continue
		}
		if err := l.each(line); err != nil {
			return 0, err
		}
	}
	if len(l.rest) > lineLimit && l.lossy {
		l.rest, l.leaving = nil, true
	}
	if len(l.rest) > lineLimit {
		return 0, fmt.Errorf("%w: a line of more than %d bytes", errGarbled, lineLimit)
	}
	return len(p), nil
}
