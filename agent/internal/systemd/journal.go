package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"kedge/internal/command"
)

const (
	defaultJournalLines = 20
	journalTimeout      = 5 * time.Second
	journalMaxBytes     = 64 << 10 // of one answer
	journalMaxLine      = 1 << 10  // bytes of one line
	// journalStopDelay is the time from SIGTERM to SIGKILL for journalctl.
	journalStopDelay = time.Second
)

var errJournalSlow = errors.New("journalctl took too long")

// A JournalQuery says which lines of the journal of this boot are wanted.
type JournalQuery struct {
	Unit      string // required
	BySystemd bool   // what the unit itself logged is left out
	// Since leaves out older lines; the zero value leaves out none. It tells one
	// run of a unit from another where its invocation does not: the journal has
	// that only of lines whose process was still there when it read them.
	Since time.Time
	// Lines is how many of the last lines are wanted; zero means 20.
	Lines int
}

// Journal returns the last lines that a unit logged in this boot and that systemd logged
// about it, or the latter alone, oldest first, as text that is safe to show on a
// terminal. It takes at most 5 s, and little more if journalctl has to be killed; lines
// are cut at 1 KiB, and of more than 64 KiB the end is returned.
func (c *Client) Journal(ctx context.Context, q JournalQuery) ([]string, error) {
	if q.Unit == "" {
		return nil, errors.New("read journal: no unit is given")
	}
	// Time alone does not tell one boot from another: the clock may have been wrong in
	// either. journalctl takes a word after --boot that is no option for which boot it is.
	args := []string{"--quiet", "--no-pager", "--output=cat", "--boot", "--lines=" + strconv.Itoa(cmp.Or(q.Lines, defaultJournalLines))}
	if !q.Since.IsZero() {
		args = append(args, sinceFlag(q.Since))
	}
	if q.BySystemd {
		args = append(args, "_PID=1", "UNIT="+q.Unit)
	} else {
		args = append(args, "--unit="+q.Unit)
	}

	ctx, cancel := context.WithTimeoutCause(ctx, journalTimeout, errJournalSlow)
	defer cancel()
	stdout, stderr := command.Tail{Limit: journalMaxBytes}, command.Tail{Limit: journalMaxLine}
	cmd := command.New(ctx, journalStopDelay, append([]string{"journalctl"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := command.RunSpared(ctx, cmd); err != nil {
		_, err = command.Ended(ctx, cmd, err)
		return nil, fmt.Errorf("read journal of %s: %w: %s", q.Unit, err, strings.Join(printableLines(stderr.String()), " "))
	}
	return printableLines(stdout.String()), nil
}

// sinceFlag is journalctl's --since, to the microsecond: the second before may
// hold the failures of another system.
func sinceFlag(t time.Time) string {
	const perSecond = 1e6
	us := t.UnixMicro()
	return fmt.Sprintf("--since=@%d.%06d", us/perSecond, us%perSecond)
}

// printableLines returns the lines of text, without the blank ones, as valid text without
// control characters.
func printableLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if len(line) > journalMaxLine {
			line = line[:journalMaxLine] + "…"
		}
		line = strings.Map(printable, strings.ToValidUTF8(line, "\uFFFD"))
		if strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// printable replaces what could move a terminal's cursor or change its colours.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
}
