package setup

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"github.com/lmittmann/tint"
	"golang.org/x/sys/unix"
)

// A LogFormat says how log lines look.
type LogFormat string

// Log formats.
const (
	// LogAuto, also as "", is colourful on a terminal, LogText without the time
	// but with a priority under the journal, and LogText elsewhere.
	LogAuto LogFormat = "auto"
	// LogText is a line of key=value.
	LogText LogFormat = "text"
	// LogJSON is a JSON object in a line.
	LogJSON LogFormat = "json"
)

// LogConfig is the section of a configuration about logging.
type LogConfig struct {
	Level  slog.Level `config:"level"` // zero value: info
	Format LogFormat  `config:"format"`
}

// Validate returns what is wrong with c as part of a configuration, where it is
// the section named section.
func (c LogConfig) Validate(section string) error {
	switch c.Format {
	case "", LogAuto, LogText, LogJSON:
		return nil
	default:
		return fmt.Errorf("%s.format: must be auto, text or json, got %q", section, c.Format)
	}
}

// NewLogger returns a logger that writes to w as c says. The variable
// JOURNAL_STREAM, looked up by getenv, tells whether w is the journal, and
// NO_COLOR turns colour off.
func NewLogger(w io.Writer, c LogConfig, getenv func(string) string) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level}
	switch {
	case c.Format == LogJSON:
		return slog.New(slog.NewJSONHandler(w, options))
	case c.Format == LogText:
		return slog.New(slog.NewTextHandler(w, options))
	case isTerminal(w):
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: c.Level, NoColor: getenv("NO_COLOR") != ""}))
	case isJournal(w, getenv("JOURNAL_STREAM")):
		return slog.New(newJournalHandler(w, c.Level))
	default:
		return slog.New(slog.NewTextHandler(w, options))
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// isJournal reports whether w is the stream that systemd connected to the
// journal, which it names as "device:inode".
func isJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && fmt.Sprintf("%d:%d", stat.Dev, stat.Ino) == stream
}

// A journalHandler writes lines that begin with a syslog priority, such as
// "<6>", which the journal takes off and keeps. The journal knows the time.
type journalHandler struct {
	lines *journalLines
	text  slog.Handler // writes to lines
}

// JournalLines puts the priority of the record that is being handled in front
// of its line, so that both are one write.
type journalLines struct {
	mu       sync.Mutex
	w        io.Writer
	priority int // guarded by mu, which Handle holds
}

// Write implements io.Writer for the text handler.
func (l *journalLines) Write(line []byte) (int, error) {
	if _, err := l.w.Write(append(fmt.Appendf(nil, "<%d>", l.priority), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func newJournalHandler(w io.Writer, level slog.Level) *journalHandler {
	lines := &journalLines{w: w}
	return &journalHandler{lines, slog.NewTextHandler(lines, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})}
}

// Enabled implements slog.Handler.
func (h *journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.text.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.lines.mu.Lock()
	defer h.lines.mu.Unlock()
	h.lines.priority = priority(r.Level)
	return h.text.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{h.lines, h.text.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.lines, h.text.WithGroup(name)}
}

// priority returns the syslog priority of a level.
func priority(level slog.Level) int {
	const (
		priorityError   = 3
		priorityWarning = 4
		priorityInfo    = 6
		priorityDebug   = 7
	)
	switch {
	case level >= slog.LevelError:
		return priorityError
	case level >= slog.LevelWarn:
		return priorityWarning
	case level >= slog.LevelInfo:
		return priorityInfo
	default:
		return priorityDebug
	}
}
