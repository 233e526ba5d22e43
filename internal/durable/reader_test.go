package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// list shows by its slice whether it was decoded anew.
type list struct {
	Numbers []int `json:"numbers"`
}

func listReader(t *testing.T) *Reader[list] {
	t.Helper()
	return &Reader[list]{Document: Document[list]{Path: filepath.Join(t.TempDir(), "list.json"), Format: 1}}
}

func (l list) is(o list) bool {
	return len(l.Numbers) > 0 && len(o.Numbers) > 0 && &l.Numbers[0] == &o.Numbers[0]
}

func readList(t *testing.T, r *Reader[list], want int) list {
	t.Helper()
	l, err := r.Read()
	if err != nil || len(l.Numbers) != 1 || l.Numbers[0] != want {
		t.Fatalf("got %v, %v, want %d", l, err, want)
	}
	return l
}

func TestAReaderDecodesOnlyWhatIsNew(t *testing.T) {
	r := listReader(t)
	if _, err := r.Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before there is a file: got %v", err)
	}
	for n := range 3 {
		if err := r.Document.Write(list{Numbers: []int{n}}); err != nil {
			t.Fatal(err)
		}
		first := readList(t, r, n)
		if again := readList(t, r, n); !again.is(first) {
			t.Errorf("%d was decoded twice", n)
		}
	}
	if err := r.Document.Remove(); err != nil {
		t.Fatal(err)
	}
	if l, err := r.Read(); !errors.Is(err, fs.ErrNotExist) || l.Numbers != nil {
		t.Errorf("after the file is gone: got %v, %v", l, err)
	}
}

// A file system gives the inode of a file that is gone to the next one, and its clock
// stands still for milliseconds.
func TestAReaderTellsFilesApartThatLookAlike(t *testing.T) {
	r := listReader(t)
	for n := range 1000 {
		n += 1000 // as many digits
		if err := os.Remove(r.Document.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.WriteFile(r.Document.Path, fmt.Appendf(nil, `{"format":1,"numbers":[%d]}`, n), 0o600); err != nil {
			t.Fatal(err)
		}
		var now unix.Stat_t
		if err := unix.Stat(r.Document.Path, &now); err != nil || now.Ino == r.mark.ino {
			t.Fatalf("stat: %v; a new file has the inode %d, and the kept one %d", err, now.Ino, r.mark.ino)
		}
		readList(t, r, n)
	}
}

func TestAReaderSeesWhatIsChangedInPlace(t *testing.T) {
	r := listReader(t)
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(r.Document.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(`{"format":1,"numbers":[1]}`)
	readList(t, r, 1)
	put(`{"format":1,"numbers":[22]}`)
	readList(t, r, 22)
	put(`{"format":1,"numbers":[33]}`)
	if err := os.Chtimes(r.Document.Path, time.Time{}, time.Unix(7, 0)); err != nil {
		t.Fatal(err)
	}
	readList(t, r, 33)
	put(`{"format":1,"numbers":[`)
	for range 2 {
		if _, err := r.Read(); !torn(err) {
			t.Errorf("torn: got %v", err)
		}
	}
	put(`{"format":1,"numbers":[4]}`)
	readList(t, r, 4)
}

func torn(err error) bool {
	_, is := errors.AsType[*CorruptError](err)
	return is
}

func TestReadersMayReadWhileSomebodyWrites(t *testing.T) {
	r := listReader(t)
	if err := r.Document.Write(list{Numbers: []int{0}}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			last := 0
			for range 200 {
				l, err := r.Read()
				if err != nil || l.Numbers[0] < last {
					t.Errorf("got %v, %v after %d", l, err, last)
					return
				}
				last = l.Numbers[0]
			}
		})
	}
	for n := range 20 {
		if err := r.Document.Write(list{Numbers: []int{n}}); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	readList(t, r, 19)
}

func BenchmarkRead(b *testing.B) {
	numbers := make([]int, 500)
	r := &Reader[list]{Document: Document[list]{Path: filepath.Join(b.TempDir(), "list.json"), Format: 1}}
	if err := r.Document.Write(list{Numbers: numbers}); err != nil {
		b.Fatal(err)
	}
	for name, read := range map[string]func() (list, error){"document": r.Document.Read, "reader": r.Read} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
