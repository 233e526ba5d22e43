package nix

import (
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
)

// A LogFunc is told what a build says as it says it: a line, and the name of the
// derivation whose builder said it, without its version; empty if it is Nix. It is
// called by one goroutine.
type LogFunc func(derivation, line string)

// logFormat has Nix name the builder before each line that one says. In JSON, which tells
// those of one name apart too, it also writes a line for every eight bytes that it copies.
const logFormat = "bar-with-logs"

const (
	quotedLines = 20 // of a builder's log, with its failure
	quotedWidth = 512
)

// textLog takes what Nix writes in logFormat: what is said as it is said for each, and
// what Nix itself says, but for what it is about to do, for errors. There it quotes the
// last lines of a failed builder, which Nix does not where it has shown them.
type textLog struct {
	errors io.Writer
	each   LogFunc

	last  map[string][]string // lines by the name of their derivation
	quote []string            // is to follow the message that is being read
}

var (
	builderLine    = regexp.MustCompile(`^([0-9A-Za-z+._?=-]+)(?: \(post\))?> (.*)$`)
	activityLine   = regexp.MustCompile(`^[a-z].*\.\.\.$`)
	derivationPath = regexp.MustCompile(`/nix/store/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+\.drv`)
)

// line takes a line of Nix's standard error.
func (l *textLog) line(line []byte) error {
	text := string(line)
	if said := builderLine.FindStringSubmatch(text); said != nil {
		l.builderSaid(said[1], said[2])
		return nil
	}
	isError := strings.HasPrefix(text, "error:")
	if !strings.HasPrefix(text, " ") {
		l.end()
	}
	switch {
	case isError:
		l.quote = l.last[nameOf(derivationPath.FindString(text))]
	case strings.Contains(text, " log lines:"): // Nix' daemon has quoted them
		l.quote = nil
	case strings.HasPrefix(text, "building '"):
		delete(l.last, nameOf(derivationPath.FindString(text)))
	}
	l.say(text, isError || !activityLine.MatchString(text))
	return nil
}

// end ends the message that was read last.
func (l *textLog) end() {
	if len(l.quote) > 0 {
		l.say(fmt.Sprintf("       Last %d log lines:", len(l.quote)), true)
	}
	for _, line := range l.quote {
		l.say("       > "+line, true)
	}
	l.quote = nil
}

func (l *textLog) say(line string, isError bool) {
	l.each("", line)
	if isError {
		fmt.Fprintln(l.errors, line)
	}
}

func (l *textLog) builderSaid(name, line string) {
	l.each(name, line)
	kept := append(l.last[name], line[:min(len(line), quotedWidth)])
	l.last[name] = kept[max(len(kept)-quotedLines, 0):]
}

var version = regexp.MustCompile(`-[^A-Za-z].*`)

// nameOf returns the name of a derivation without its version, as Nix shows it.
func nameOf(derivation string) string {
	_, name, _ := strings.Cut(path.Base(derivation), "-")
	return version.ReplaceAllString(strings.TrimSuffix(name, ".drv"), "")
}
