package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLoggerUnderTheJournalHasPrioritiesAndNoTime(t *testing.T) {
	f, stream := journal(t)
	log := NewLogger(f, LogConfig{Level: slog.LevelDebug}, environment("JOURNAL_STREAM", stream))
	log.DebugContext(t.Context(), "d")
	log.InfoContext(t.Context(), "two words", "host", "web1")
	log.With("a", 1).WarnContext(t.Context(), "w")
	log.WithGroup("g").ErrorContext(t.Context(), "e", "err", errors.New("why not"))
	want := `<7>level=DEBUG msg=d
<6>level=INFO msg="two words" host=web1
<4>level=WARN msg=w a=1
<3>level=ERROR msg=e g.err="why not"
`
	if got := content(t, f); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestLoggerChoosesItsFormat(t *testing.T) {
	f, stream := journal(t)
	text := regexp.MustCompile(`^time=\S+ level=INFO msg=m\n$`)
	tests := []struct {
		name   string
		format LogFormat
		stream string
		want   *regexp.Regexp
	}{
		{"text in a file", "", "", text},
		{"text in a file that is not the journal", LogAuto, "1:1", text},
		{"the journal's in the journal", LogAuto, stream, regexp.MustCompile(`^<6>level=INFO msg=m\n$`)},
		{"text when told so", LogText, stream, text},
		{"JSON when told so", LogJSON, stream, regexp.MustCompile(`^{"time":".*","level":"INFO","msg":"m"}\n$`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := f.Truncate(0); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			log := NewLogger(f, LogConfig{Format: tt.format}, environment("JOURNAL_STREAM", tt.stream))
			log.DebugContext(t.Context(), "below the level")
			log.InfoContext(t.Context(), "m")
			if got := content(t, f); !tt.want.MatchString(got) {
				t.Errorf("got %q, want %v", got, tt.want)
			}
		})
	}
}

func TestLoggerIsColourfulOnATerminal(t *testing.T) {
	for _, noColor := range []string{"", "1"} {
		master, terminal := pty(t)
		log := NewLogger(terminal, LogConfig{}, environment("NO_COLOR", noColor))
		log.InfoContext(t.Context(), "hello")
		line := make([]byte, 200)
		n, err := master.Read(line)
		if err != nil {
			t.Fatal(err)
		}
		got := string(line[:n])
		if !strings.Contains(got, "hello") || strings.Contains(got, "\x1b[") == (noColor != "") {
			t.Errorf("NO_COLOR=%q: got %q", noColor, got)
		}
	}
}

func TestLoggerWritesToWhatIsNoFile(t *testing.T) {
	var b bytes.Buffer
	NewLogger(&b, LogConfig{}, environment("JOURNAL_STREAM", "1:1")).InfoContext(t.Context(), "m")
	if !strings.Contains(b.String(), "msg=m") {
		t.Errorf("got %q", b.String())
	}
}

// journal returns a file, and the JOURNAL_STREAM that says it is the journal.
func journal(t *testing.T) (*os.File, string) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	return f, fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

func content(t *testing.T, f *os.File) string {
	t.Helper()
	data, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func environment(name, value string) func(string) string {
	return func(n string) string {
		if n == name {
			return value
		}
		return ""
	}
}

func pty(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}
