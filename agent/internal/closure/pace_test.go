package closure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent/internal/bootdir"
	"kedge/proto"
)

func TestPace(t *testing.T) {
	const perSecond = 16 << 10
	read := func(t *testing.T, p *Pace) {
		t.Helper()
		text := strings.Repeat("x", 10*perSecond)
		got, err := io.ReadAll(p.of(t.Context(), io.NopCloser(strings.NewReader(text))))
		if err != nil || string(got) != text {
			t.Errorf("read %d bytes, %v; want %d", len(got), err, len(text))
		}
	}
	for _, c := range []struct {
		name    string
		pace    uint64
		readers int
		want    time.Duration
	}{
		{"one has it for itself", perSecond, 1, 10 * time.Second},
		{"three share it", perSecond, 3, 30 * time.Second},
		{"none", 0, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPace(c.pace)
				start := time.Now()
				var all sync.WaitGroup
				for range c.readers {
					all.Go(func() { read(t, p) })
				}
				all.Wait()
				// What is read last waits for what was read before it alone.
				if got := time.Since(start); got > c.want || got < c.want*9/10 {
					t.Errorf("it took %s, want %s", got, c.want)
				}
			})
		})
	}
	t.Run("an end is an end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := io.ReadAll(NewPace(perSecond).of(ctx, io.NopCloser(strings.NewReader(strings.Repeat("x", 100*perSecond)))))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want that it was canceled", err)
			}
		})
	})
}

// TestAPaceIsNotTheFaultOfACache: at its own pace a host waits for as long as that takes, or what is larger than
// the timeout has room for would be fetched again and again.
func TestAPaceIsNotTheFaultOfACache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, o := newFetch(t)
		s.stuck = "http://a"
		f.Pace = NewPace(1 << 20)
		f.Room = func(context.Context, FetchOrder) (proto.Closure, error) {
			return proto.Closure{{NarSize: 7200 << 20}}, nil
		}
		begun := time.Now()
		if err := f.Fetch(t.Context(), o); err != nil {
			t.Errorf("with another cache: %v", err)
		}
		if took, want := time.Since(begun), f.Timeout+2*time.Hour; took != want {
			t.Errorf("the slow cache had %s, want %s", took, want)
		}
	})
	if got := NewPace(1).takes(1 << 63); got != longest {
		t.Errorf("what nobody has takes %s, want %s", got, longest)
	}
}

// slowLists are read at a pace.
type slowLists struct {
	text []byte
	pace *Pace
}

func (l slowLists) List(ctx context.Context, _ string, _ proto.StorePath) ([]byte, error) {
	return io.ReadAll(l.pace.of(ctx, io.NopCloser(bytes.NewReader(l.text))))
}

// TestAListIsReadAtAnyPace: without it nobody knows what is missing.
func TestAListIsReadAtAnyPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		var c proto.Closure
		for n := range 6000 { // as a large system has
			c = append(c, closureOf(t, map[string]uint64{fmt.Sprintf("/nix/store/%032d-x", n): 1})...)
		}
		pace := NewPace(16 << 10)
		v := volumes{storeDir: Volume{Free: 1 << 30}, stateDir: Volume{}, bootdir.Default: Volume{}}
		r := Room{Lists: slowLists{c.Text(), pace}, Pace: pace, Root: root, Volume: v.in(root), Log: slog.New(slog.DiscardHandler)}
		missing, err := r.Check(t.Context(), FetchOrder{Toplevel: c[0].Path, Closure: c.Digest(), Caches: []string{"http://a"}})
		if err != nil || len(missing) != len(c) {
			t.Errorf("of a list of %d bytes %d paths are known to be missing, want %d: %v", len(c.Text()), len(missing), len(c), err)
		}
	})
}

// TestPaceIsKeptOnEveryWay: neither we nor Nix get around it.
func TestPaceIsKeptOnEveryWay(t *testing.T) {
	c := startCache(t, "")
	w := &Ways{Outbound: pins(c), Pace: NewPace(1 << 20)}
	w.Assigned([]string{c.cache()}, token(t))
	u, err := url.Parse("https://cache.nixos.org")
	if err != nil {
		t.Fatal(err)
	}
	if w.straight(u) {
		t.Error("Nix goes to a cache by itself")
	}
	if w := (&Ways{}); !w.straight(u) {
		t.Error("without a pace Nix does not go to a cache by itself")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.cache()+"/nar/x.nar", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := w.Client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != archive {
		t.Errorf("got %q, %v", text, err)
	}
	if _, is := resp.Body.(pacedBody); !is {
		t.Errorf("the answer is read as %T, at no pace", resp.Body)
	}
}
