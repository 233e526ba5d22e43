package nix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
)

// A LogFunc is told what a build says as it says it: a line, and the name of the
// derivation whose builder said it; empty if it is Nix. It is called by one goroutine.
type LogFunc func(derivation, line string)

// What Nix writes with --log-format internal-json, each line after jsonMark. The
// numbers have not changed since Nix 2.0.
const (
	jsonMark      = "@nix "
	activityBuild = 105
	resultLogLine = 101
	levelError    = 0
	levelInfo     = 3 // what Nix says if it is not asked to say more

	// jsonProgress begins most of it: how far something is, in numbers, which nobody
	// is told. What a builder says has a text in their place.
	jsonProgress = `{"action":"result","fields":[`

	quotedLines = 20 // of a builder's log, with its failure
	quotedWidth = 512
)

// jsonLog turns what Nix writes in JSON into text: what is said as it is said for
// each, and the errors alone for errors, as Nix itself would write them. There it
// quotes the last lines of a failed builder, which Nix leaves to whoever reads JSON.
type jsonLog struct {
	errors io.Writer
	each   LogFunc

	builds map[uint64]string   // derivations by activity
	last   map[string][]string // lines by derivation
}

// line takes a line of Nix's standard error.
func (l *jsonLog) line(line []byte) error {
	text, is := bytes.CutPrefix(line, []byte(jsonMark))
	if !is { // SSH, for one, writes there, too
		l.say(string(line), true)
		return nil
	}
	if fields, is := bytes.CutPrefix(text, []byte(jsonProgress)); is && !bytes.HasPrefix(fields, []byte(`"`)) {
		return nil
	}
	var said struct {
		Action string            `json:"action"`
		ID     uint64            `json:"id"`
		Type   int               `json:"type"`
		Level  int               `json:"level"`
		Text   string            `json:"text"`
		Msg    string            `json:"msg"`
		Fields []json.RawMessage `json:"fields"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		l.say(string(text), true) // of a newer Nix
		return nil
	}
	var field string
	if len(said.Fields) > 0 {
		_ = json.Unmarshal(said.Fields[0], &field) // a number stays no text
	}
	switch {
	case said.Action == "start" && said.Level <= levelInfo && said.Text != "":
		if said.Type == activityBuild {
			l.builds[said.ID] = field
		}
		l.say(said.Text, false)
	case said.Action == "result" && said.Type == resultLogLine:
		l.builderSaid(l.builds[said.ID], field)
	case said.Action == "stop":
		delete(l.builds, said.ID)
	case said.Action == "msg" && said.Level <= levelInfo:
		l.say(l.quoting(plainText(said.Msg)), said.Level == levelError)
	}
	return nil
}

// say passes on what Nix says, which may be several lines.
func (l *jsonLog) say(text string, isError bool) {
	for line := range strings.Lines(text) {
		l.each("", strings.TrimRight(line, "\n"))
	}
	if isError {
		fmt.Fprintln(l.errors, text)
	}
}

func (l *jsonLog) builderSaid(derivation, line string) {
	line = plainText(line)
	l.each(packageOf(derivation), line)
	kept := append(l.last[derivation], line[:min(len(line), quotedWidth)])
	l.last[derivation] = kept[max(len(kept)-quotedLines, 0):]
}

var derivationPath = regexp.MustCompile(`/nix/store/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+\.drv`)

// quoting returns a message with the last lines of the builder that it is about, if
// that is one and they are not there already.
func (l *jsonLog) quoting(message string) string {
	head, _, _ := strings.Cut(message, "\n")
	lines := l.last[derivationPath.FindString(head)]
	if len(lines) == 0 || strings.Contains(message, " log lines:") {
		return message
	}
	return fmt.Sprintf("%s\n       Last %d log lines:\n       > %s", strings.TrimRight(message, "\n"), len(lines), strings.Join(lines, "\n       > "))
}

// packageOf returns the name of a derivation without its path.
func packageOf(derivation string) string {
	_, name, _ := strings.Cut(path.Base(derivation), "-")
	return strings.TrimSuffix(name, ".drv")
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// plainText returns text without colours.
func plainText(text string) string { return colours.ReplaceAllString(text, "") }
