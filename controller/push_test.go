package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/build"
	"kedge/controller/internal/cache"
	"kedge/proto"
)

// fakePusher fails for everything together if it fails for one.
type fakePusher struct {
	broken []proto.StorePath
	why    string // defaults to a hash mismatch
	slow   int    // as of which push it hangs; 0 for never
	pushes int
}

func (p *fakePusher) Push(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	p.pushes++
	if p.slow > 0 && p.pushes >= p.slow {
		return nil, fmt.Errorf("copy to s3://fleet: %w", &cache.SlowError{After: time.Hour})
	}
	for _, t := range toplevels {
		if slices.Contains(p.broken, t) {
			return nil, fmt.Errorf("%s in %s", cmp.Or(p.why, "hash mismatch"), t)
		}
	}
	return fakeClosures{}.Closures(ctx, toplevels...)
}

func built(t *testing.T, hosts ...string) build.Builds {
	t.Helper()
	b := build.Builds{Toplevels: map[proto.HostName]proto.StorePath{}, Failed: map[proto.HostName]*build.HostError{}}
	for _, h := range hosts {
		b.Toplevels[host(t, h)] = storePath(t, h)
	}
	return b
}

func TestPushOfOneHostHoldsUpNoOther(t *testing.T) {
	b, p := built(t, "db1", "web1", "web2"), &fakePusher{broken: []proto.StorePath{storePath(t, "db1")}}
	closures, err := push(t.Context(), p, b)
	if err != nil {
		t.Fatal(err)
	}
	if len(closures) != 2 || len(b.Toplevels) != 2 {
		t.Errorf("closures = %v, toplevels = %v; want those of web1 and web2", closures, b.Toplevels)
	}
	failed := b.Failed[host(t, "db1")]
	if failed == nil || failed.Reason != proto.ReasonBuildFailed || !strings.Contains(failed.Error(), "copy into the cache: hash mismatch") {
		t.Errorf("db1: %v, want why it could not be copied", failed)
	}
}

func TestPushSaysOfAFullDiskThatItIsFull(t *testing.T) {
	b, p := built(t, "db1", "web1"), &fakePusher{broken: []proto.StorePath{storePath(t, "db1")}, why: "No space left on device"}
	if _, err := push(t.Context(), p, b); err != nil {
		t.Fatal(err)
	}
	if failed := b.Failed[host(t, "db1")]; failed == nil || failed.Reason != proto.ReasonDiskFull {
		t.Errorf("db1: %+v, want reason %q", failed, proto.ReasonDiskFull)
	}
}

func TestPushGivesUpOnABrokenCache(t *testing.T) {
	var hosts []string
	p := &fakePusher{}
	for i := range 100 {
		name := fmt.Sprintf("web%d", i)
		hosts = append(hosts, name)
		p.broken = append(p.broken, storePath(t, name))
	}
	b := built(t, hosts...)
	if _, err := push(t.Context(), p, b); err == nil || len(b.Failed) != 0 || len(b.Toplevels) != len(hosts) {
		t.Errorf("error = %v with %d failed hosts, want one about all", err, len(b.Failed))
	}
	if p.pushes > 1+maxPushFailures {
		t.Errorf("pushed %d times", p.pushes)
	}
}

// TestPushWaitsOnceForACacheThatHangs, whether it does so at once or later.
func TestPushWaitsOnceForACacheThatHangs(t *testing.T) {
	for slow := 1; slow <= 3; slow++ {
		b, p := built(t, "db1", "web1", "web2"), &fakePusher{slow: slow, broken: []proto.StorePath{storePath(t, "db1")}}
		_, err := push(t.Context(), p, b)
		if _, ok := errors.AsType[*cache.SlowError](err); !ok || p.pushes != slow || len(b.Failed) != 0 {
			t.Errorf("hangs at push %d: error = %v after %d pushes with %d failed hosts, want that one about all", slow, err, p.pushes, len(b.Failed))
		}
	}
}

func TestPushEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	newer := errors.New("a newer revision came")
	cancel(newer)
	b := built(t, "db1", "web1")
	if _, err := push(ctx, &fakePusher{broken: []proto.StorePath{storePath(t, "db1")}}, b); !errors.Is(err, newer) || len(b.Failed) != 0 {
		t.Errorf("error = %v with %d failed hosts, want %v", err, len(b.Failed), newer)
	}
}
