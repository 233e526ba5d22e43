// Package buildlog keeps what builds say: a file for each revision of a channel, of
// bounded size, that can be read while it grows. It is for people; nothing depends on
// it, and nothing of it is synced.
package buildlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"kedge/proto"
)

const (
	// maxSize is how much is kept of one revision, in bytes; as much again of what Nix
	// itself says, and how it ended, is kept beyond that.
	maxSize = 8 << 20
	// maxLine is how much is kept of a line.
	maxLine = 4 << 10
	// maxPage is how much is read at once.
	maxPage = 256 << 10
)

// ErrUnknown is wrapped by errors about logs that are not there.
var ErrUnknown = errors.New("there is no such build log")

// A Book has the logs of all channels. It is safe for concurrent use.
type Book struct {
	dir  string
	keep int

	mu      sync.Mutex
	changed chan struct{}             // closed, and replaced, when anything was written
	growing map[string]proto.Revision // by channel
}

// Open returns the book in a directory, which need not exist. It keeps so many
// revisions of each channel.
func Open(dir string, keep int) *Book {
	return &Book{dir: dir, keep: keep, changed: make(chan struct{}), growing: map[string]proto.Revision{}}
}

// A Log is what one build says. One goroutine writes it.
type Log struct {
	book    *Book
	channel string
	file    *os.File // nil if it could not be made
	size    int64
	left    int // lines that were left out
}

// Begin begins to write what the build of a revision says, after what it said when it
// was tried before. With an error the log takes everything, and keeps nothing.
func (b *Book) Begin(channel string, rev proto.Revision) (*Log, error) {
	l := &Log{book: b, channel: channel}
	dir := filepath.Join(b.dir, channel)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return l, fmt.Errorf("keep the log of the build: %w", err)
	}
	file, err := os.OpenFile(b.path(channel, rev), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return l, fmt.Errorf("keep the log of the build: %w", err)
	}
	stat, err := file.Stat()
	if err == nil && stat.Size() >= maxSize {
		err = file.Truncate(0)
	} else if err == nil {
		l.size = stat.Size()
	}
	if err != nil {
		return l, errors.Join(fmt.Errorf("keep the log of the build: %w", err), file.Close())
	}
	l.file = file
	b.mu.Lock()
	b.growing[channel] = rev
	b.mu.Unlock()
	return l, b.prune(channel)
}

// Line adds what the builder of a derivation said, or Nix if that is empty.
func (l *Log) Line(derivation, line string) {
	room := int64(2 * maxSize)
	if derivation != "" {
		line, room = derivation+"> "+line, maxSize
	}
	if l.size >= room {
		l.left++
		return
	}
	l.write(line)
}

// End says how the build ended, and that nothing follows.
func (l *Log) End(how string) {
	if l.left > 0 {
		l.write(fmt.Sprintf("%d lines were left out: there is room for %d MiB", l.left, maxSize>>20))
	}
	l.write(how)
	if l.file != nil {
		_ = l.file.Close() // what was not written is missing, and nothing else
		l.file = nil
	}
	l.book.mu.Lock()
	defer l.book.mu.Unlock()
	delete(l.book.growing, l.channel)
	l.book.bump()
}

// write adds a line. What cannot be written is missing.
func (l *Log) write(line string) {
	if l.file == nil {
		return
	}
	line = strings.ToValidUTF8(line[:min(len(line), maxLine)], "\uFFFD") + "\n"
	n, _ := l.file.WriteString(line)
	l.size += int64(n)
	l.book.mu.Lock()
	defer l.book.mu.Unlock()
	l.book.bump()
}

// bump wakes readers. The caller holds the mutex.
func (b *Book) bump() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// A Page is a part of a log.
type Page struct {
	Revision proto.Revision
	Text     string // whole lines
	Next     int64  // where the next page begins
	Ended    bool   // nothing follows it
}

// Read returns what a build said from a place on; the zero revision is the one that
// was built last. It waits until there is something, the build has ended, or ctx has.
func (b *Book) Read(ctx context.Context, channel string, rev proto.Revision, from int64) (Page, error) {
	if rev.IsZero() {
		var err error
		if rev, err = b.newest(channel); err != nil {
			return Page{}, err
		}
	}
	for {
		b.mu.Lock()
		growing, changed := b.growing[channel] == rev, b.changed
		b.mu.Unlock()
		text, err := b.read(channel, rev, from)
		if err != nil {
			return Page{}, err
		}
		if text != "" || !growing || ctx.Err() != nil {
			next := from + int64(len(text))
			return Page{Revision: rev, Text: text, Next: next, Ended: !growing && text == ""}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// read returns the whole lines of a page; none if there are none.
func (b *Book) read(channel string, rev proto.Revision, from int64) (string, error) {
	file, err := os.Open(b.path(channel, rev))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: of revision %s", ErrUnknown, rev.Short())
	}
	if err != nil {
		return "", fmt.Errorf("read the log of a build: %w", err)
	}
	text, err := io.ReadAll(io.NewSectionReader(file, from, maxPage))
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("read the log of a build: %w", err)
	}
	return string(text[:strings.LastIndexByte(string(text), '\n')+1]), nil
}

// newest returns the revision of a channel that was built last.
func (b *Book) newest(channel string) (proto.Revision, error) {
	revisions, err := b.revisions(channel)
	if err != nil {
		return proto.Revision{}, err
	}
	if len(revisions) == 0 {
		return proto.Revision{}, fmt.Errorf("%w: nothing was built yet", ErrUnknown)
	}
	return revisions[0], nil
}

// revisions returns those of a channel that there are logs of, the one written last
// first.
func (b *Book) revisions(channel string) ([]proto.Revision, error) {
	entries, err := os.ReadDir(filepath.Join(b.dir, channel))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the logs of builds: %w", err)
	}
	written := map[proto.Revision]int64{}
	var revisions []proto.Revision
	for _, e := range entries {
		rev, err := proto.ParseRevision(strings.TrimSuffix(e.Name(), ".log"))
		stat, statErr := e.Info()
		if err == nil && statErr == nil {
			written[rev] = stat.ModTime().UnixNano()
			revisions = append(revisions, rev)
		}
	}
	slices.SortFunc(revisions, func(x, y proto.Revision) int {
		return int(min(max(written[y]-written[x], -1), 1))
	})
	return revisions, nil
}

// prune removes the logs of a channel that were written longest ago.
func (b *Book) prune(channel string) error {
	revisions, err := b.revisions(channel)
	if err != nil {
		return err
	}
	for _, rev := range revisions[min(b.keep, len(revisions)):] {
		if err := os.Remove(b.path(channel, rev)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the log of a build: %w", err)
		}
	}
	return nil
}

func (b *Book) path(channel string, rev proto.Revision) string {
	return filepath.Join(b.dir, channel, rev.String()+".log")
}
