package buildlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/proto"
)

func TestALogIsReadWhileItGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Open(t.TempDir(), 3)
		l, err := b.Begin("main", revision(t, 1))
		must(t, err)
		pages := make(chan Page)
		go func() {
			defer close(pages)
			for from := int64(0); ; {
				p, err := b.Read(t.Context(), "main", proto.Revision{}, from)
				if err != nil {
					t.Error(err)
					return
				}
				pages <- p
				if p.Ended {
					return
				}
				from = p.Next
			}
		}()
		for _, step := range []struct {
			write func()
			want  string
		}{
			{func() { l.Line("bash-5.2", "compiling") }, "bash-5.2> compiling\n"},
			{func() { l.Line("", "error: no") }, "error: no\n"},
			{func() { l.End("failed") }, "failed\n"},
		} {
			synctest.Wait()
			step.write()
			if p := <-pages; p.Text != step.want || p.Ended || p.Revision != revision(t, 1) {
				t.Errorf("got %+v, want %q", p, step.want)
			}
		}
		if p := <-pages; p.Text != "" || !p.Ended {
			t.Errorf("got %+v, want the end", p)
		}
	})
}

func TestAReaderWaitsNoLongerThanItWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Open(t.TempDir(), 3)
		_, err := b.Begin("main", revision(t, 1))
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		p, err := b.Read(ctx, "main", revision(t, 1), 0)
		must(t, err)
		if p.Text != "" || p.Ended {
			t.Errorf("got %+v, want nothing yet", p)
		}
	})
}

func TestALogIsBoundedAndSaysHowItEnded(t *testing.T) {
	b := Open(t.TempDir(), 3)
	l, err := b.Begin("main", revision(t, 1))
	must(t, err)
	long := strings.Repeat("x", 2*maxLine)
	for range maxSize/maxLine + 10 {
		l.Line("noisy", long)
	}
	l.Line("", "error: it failed")
	l.End("failed")
	stat, err := os.Stat(b.path("main", revision(t, 1)))
	must(t, err)
	if stat.Size() > maxSize+2*maxLine {
		t.Errorf("it has %d bytes", stat.Size())
	}
	p, err := b.Read(t.Context(), "main", revision(t, 1), stat.Size()-100)
	must(t, err)
	if !strings.Contains(p.Text, "error: it failed\n") || !strings.Contains(p.Text, "lines were left out") || !strings.HasSuffix(p.Text, "\nfailed\n") {
		t.Errorf("its end is %q", p.Text)
	}
}

// TestWhatNixSaysIsBounded: a builder can have Nix say what it likes.
func TestWhatNixSaysIsBounded(t *testing.T) {
	b := Open(t.TempDir(), 3)
	l, err := b.Begin("main", revision(t, 1))
	must(t, err)
	long := strings.Repeat("x", maxLine)
	for range 3 * maxSize / maxLine {
		l.Line("", long)
	}
	l.End("failed")
	stat, err := os.Stat(b.path("main", revision(t, 1)))
	must(t, err)
	if stat.Size() > 2*maxSize+2*maxLine {
		t.Errorf("it has %d bytes", stat.Size())
	}
	p, err := b.Read(t.Context(), "main", revision(t, 1), stat.Size()-100)
	must(t, err)
	if !strings.Contains(p.Text, "lines were left out") || !strings.HasSuffix(p.Text, "\nfailed\n") {
		t.Errorf("its end is %q", p.Text)
	}
}

func TestWhatIsTriedAgainIsAddedAndOldRevisionsGo(t *testing.T) {
	b := Open(t.TempDir(), 2)
	for i, n := range []int{1, 2, 1, 3} {
		l, err := b.Begin("main", revision(t, n))
		must(t, err)
		l.End(fmt.Sprintf("try %d", i))
		at := time.Now().Add(time.Duration(i-10) * time.Minute)
		must(t, os.Chtimes(b.path("main", revision(t, n)), at, at))
	}
	p, err := b.Read(t.Context(), "main", revision(t, 1), 0)
	must(t, err)
	if p.Text != "try 0\ntry 2\n" {
		t.Errorf("got %q, want both tries", p.Text)
	}
	if _, err := b.Read(t.Context(), "main", revision(t, 2), 0); !errors.Is(err, ErrUnknown) {
		t.Errorf("the one written longest ago: error = %v, want %v", err, ErrUnknown)
	}
	if _, err := b.Read(t.Context(), "other", proto.Revision{}, 0); !errors.Is(err, ErrUnknown) {
		t.Errorf("another channel: error = %v, want %v", err, ErrUnknown)
	}
}

func TestALogThatCannotBeKeptTakesEverything(t *testing.T) {
	file := t.TempDir() + "/file"
	must(t, os.WriteFile(file, nil, 0o600))
	l, err := Open(file, 2).Begin("main", revision(t, 1))
	if err == nil {
		t.Error("no error")
	}
	l.Line("a", "b")
	l.End("failed")
}

func revision(t *testing.T, n int) proto.Revision {
	t.Helper()
	r, err := proto.ParseRevision(fmt.Sprintf("%040x", n))
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
