package activation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// headLimit and tailLimit are how many bytes of the beginning and the end of
	// an output are looked at.
	headLimit = 64 << 10
	tailLimit = 64 << 10
	// maxOutput is how large an output may become before the room of its middle is
	// given back: it is in /run, which everybody needs, and is memory.
	maxOutput = 16 << 20
	// logHead and logTail are how many lines of them go to the log.
	logHead = 100
	logTail = 100
	// logWhole is how many bytes are one entry of the log: an entry is more work for
	// the journal than what is in it.
	logWhole = 2000
)

// An output is the file that a run writes to: a file and never a pipe, whose
// reader could be gone before the writer.
type output struct{ file *os.File }

// outputPerm lets root alone read it: scripts print what they like.
const outputPerm = 0o600

// createOutput makes the file at path and takes room for what is looked at of
// it. Where there is none it returns an output that forgets, with the reason:
// no way back may end because somebody filled the file system of a log, and
// switch-to-configuration crashes when it cannot write.
func createOutput(path string) (*output, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, outputPerm)
	if err == nil {
		const keepSize = unix.FALLOC_FL_KEEP_SIZE
		err = unix.Fallocate(int(f.Fd()), keepSize, 0, headLimit+tailLimit)
		if err == nil || !errors.Is(err, unix.ENOSPC) { // some file systems cannot do it
			return &output{file: f}, nil
		}
		err = errors.Join(err, f.Close(), os.Remove(path))
	}
	null, nullErr := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if nullErr != nil {
		return nil, fmt.Errorf("make output file: %w", errors.Join(err, nullErr))
	}
	return &output{file: null}, fmt.Errorf("make output file: %w", err)
}

// trim gives back the room of what [output.lines] leaves out, if there is much of it.
// Whoever writes on does so behind it.
func (o *output) trim() {
	if info, err := o.file.Stat(); err == nil && info.Size() > maxOutput {
		const punch = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
		_ = unix.Fallocate(int(o.file.Fd()), punch, headLimit, info.Size()-headLimit-tailLimit) // where it cannot be done it is as before
	}
}

// lines returns what was written: all of it, or its beginning, a line that
// says how much was left out, and its end.
func (o *output) lines() ([]string, error) {
	info, err := o.file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read output: %w", err)
	}
	if info.Size() <= headLimit+tailLimit {
		all, err := o.section(0, info.Size())
		return split(all), err
	}
	head, err := o.section(0, headLimit)
	if err != nil {
		return nil, err
	}
	tail, err := o.section(info.Size()-tailLimit, tailLimit)
	if err != nil {
		return nil, err
	}
	gap := fmt.Sprintf("… %d bytes left out …", info.Size()-headLimit-tailLimit)
	return append(append(split(head), gap), split(tail)...), nil
}

func (o *output) section(from, size int64) (string, error) {
	b, err := io.ReadAll(io.NewSectionReader(o.file, from, size))
	if err != nil {
		return "", fmt.Errorf("read output: %w", err)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD"), nil
}

func split(text string) []string {
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// logLines copies an output to the log: one that is short as a whole, others line by
// line, with the middle left out of long ones.
func logLines(ctx context.Context, log *slog.Logger, lines []string) {
	said := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.TrimSpace(line) == "" })
	if whole := strings.Join(said, "; "); len(whole) <= logWhole {
		if whole != "" {
			log.InfoContext(ctx, "activation output", "lines", whole)
		}
		return
	}
	for i, line := range lines {
		if len(lines) > logHead+logTail && i >= logHead && i < len(lines)-logTail {
			if i == logHead {
				log.InfoContext(ctx, "activation output left out", "lines", len(lines)-logHead-logTail)
			}
			continue
		}
		if strings.TrimSpace(line) != "" {
			log.InfoContext(ctx, "activation output", "line", clip(line))
		}
	}
}
