package hook

import "strings"

const (
	// tailLimit and lineLimit bound how much of what a hook said is kept.
	tailLimit = 4 << 10 // bytes
	lineLimit = 10
)

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if extra := len(t.kept) - tailLimit; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(p), nil
}

// lines returns the last lines, oldest first.
func (t *tail) lines() []string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "\uFFFD"))
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	return all[max(0, len(all)-lineLimit):]
}
