package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/source"
	"kedge/proto"
)

func revision(t testing.TB, digit string) proto.Revision {
	t.Helper()
	r, err := proto.ParseRevision(strings.Repeat(digit, 40))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fakeRepository is a Looker made of what Check shall return.
type fakeRepository struct {
	mu    sync.Mutex // guards what follows
	head  proto.Revision
	err   error
	takes time.Duration
}

func (r *fakeRepository) set(head proto.Revision, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.head, r.err = head, err
}

func (r *fakeRepository) URL() string    { return "/srv/fleet.git" }
func (r *fakeRepository) Branch() string { return "main" }
func (r *fakeRepository) Check(ctx context.Context) (proto.Revision, error) {
	r.mu.Lock()
	head, err, takes := r.head, r.err, r.takes
	r.mu.Unlock()
	sleep(ctx, takes)
	return head, err
}

// slow makes each look take that long.
func (r *fakeRepository) slow(takes time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takes = takes
}

// fakeDeployer notes what it does, takes some time over it, and may fail.
type fakeDeployer struct {
	mu        sync.Mutex // guards what follows
	fetches   time.Duration
	unfetched error
	takes     time.Duration
	err       error
	log       []string
}

func (d *fakeDeployer) set(takes time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.takes, d.err, d.log = takes, err, nil
}

// note adds to the log, and returns how the deployer is set.
func (d *fakeDeployer) note(format string, args ...any) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, fmt.Sprintf(format, args...))
	return d.takes, d.err
}

func (d *fakeDeployer) did() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.log)
}

// slow makes each fetch take that long, and end so.
func (d *fakeDeployer) slow(fetches time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fetches, d.unfetched = fetches, err
}

// fetch is the first part of Deploy.
func (d *fakeDeployer) fetch(ctx context.Context, rev proto.Revision) error {
	d.mu.Lock()
	fetches, err := d.fetches, d.unfetched
	d.mu.Unlock()
	if !sleep(ctx, fetches) {
		return context.Cause(ctx)
	}
	if fetches > 0 && err == nil {
		d.note("fetched %s", rev.String()[:1])
	}
	return err
}

func (d *fakeDeployer) Deploy(ctx context.Context, rev proto.Revision, _ time.Time, fetched func()) error {
	takes, _ := d.note("begin %s", rev.String()[:1])
	err := d.fetch(ctx, rev)
	if err == nil {
		fetched()
		if !sleep(ctx, takes) {
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		d.note("end %s: %v", rev.String()[:1], err)
		return err
	}
	_, err = d.note("end %s", rev.String()[:1])
	return err
}

// pipelineTest is a pipeline that runs in a bubble.
type pipelineTest struct {
	*Pipeline
	repository *fakeRepository
	deployer   *fakeDeployer
	fleet      *Fleet
}

func inBubble(t *testing.T, do func(t *testing.T, p pipelineTest)) {
	t.Helper()
	inBubblePolling(t, time.Minute, do)
}

func inBubblePolling(t *testing.T, poll time.Duration, do func(t *testing.T, p pipelineTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := pipelineTest{repository: &fakeRepository{}, deployer: &fakeDeployer{takes: time.Second}, fleet: NewFleet(time.Now)}
		p.Pipeline = NewPipeline(PipelineOptions{
			Channel: "main", Source: p.repository, Deployer: p.deployer, Fleet: p.fleet, Poll: poll,
			Now: time.Now, Log: slog.New(slog.DiscardHandler),
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		p.repository.set(revision(t, "a"), nil)
		go func() { ended <- p.Run(ctx) }()
		synctest.Wait()
		do(t, p)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func (p pipelineTest) did(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, p.deployer.did()); diff != "" {
		t.Errorf("what was done (-want +got):\n%s", diff)
	}
}

func TestPipelineNotesWhenARevisionWasFirstSeen(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) {
		first := time.Now()
		time.Sleep(10 * time.Minute)
		p.repository.set(revision(t, "a"), errors.New("connection refused"))
		time.Sleep(5 * time.Minute)
		p.repository.set(revision(t, "a"), nil)
		time.Sleep(5 * time.Minute)
		if s := p.fleet.SourceStatus("main"); !s.Found.Equal(first) || s.Checked.Equal(first) {
			t.Errorf("found at %s, want %s", s.Found, first)
		}
		p.repository.set(revision(t, "b"), nil)
		p.Trigger()
		synctest.Wait()
		if s := p.fleet.SourceStatus("main"); !s.Found.Equal(time.Now()) {
			t.Errorf("the next one was found at %s, want %s", s.Found, time.Now())
		}
	})
}

func TestPipelineDeploysOnceAtStart(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) {
		time.Sleep(10 * time.Minute)
		p.Trigger()
		p.did(t, "begin a", "end a")
	})
}

func TestPipelineFindsARevisionByPolling(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) {
		time.Sleep(time.Second)
		p.repository.set(revision(t, "b"), nil)
		time.Sleep(74 * time.Second) // a poll and its jitter
		p.did(t, "begin a", "end a", "begin b", "end b")
	})
}

func TestPipelineLooksAtOnceWhenAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) {
		time.Sleep(2 * time.Second)
		p.repository.set(revision(t, "b"), nil)
		p.Trigger()
		p.did(t, "begin a", "end a", "begin b")
	})
}

func TestPipelineTakesTheNewestOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) {
		p.repository.set(revision(t, "b"), nil)
		p.Trigger()
		p.did(t, "begin a", "end a: superseded by a newer revision", "begin b")
		p.Trigger() // nothing new: b goes on
		time.Sleep(2 * time.Second)
		p.did(t, "begin a", "end a: superseded by a newer revision", "begin b", "end b")
	})
}

// TestPipelineLetsAFetchComeToItsEnd: where pushes come more often than a fetch takes, none
// would ever be deployed.
func TestPipelineLetsAFetchComeToItsEnd(t *testing.T) {
	var d *fakeDeployer
	inBubble(t, func(t *testing.T, p pipelineTest) {
		d = p.deployer
		time.Sleep(2 * time.Second)
		p.deployer.slow(10*time.Minute, nil)
		p.deployer.set(time.Second, nil)
		for _, digit := range []string{"b", "c", "d", "e"} {
			p.repository.set(revision(t, digit), nil)
			p.Trigger()
			time.Sleep(3 * time.Minute)
		}
		p.did(t, "begin b", "fetched b", "end b: superseded by a newer revision", "begin e")
		p.deployer.set(time.Second, nil)
		time.Sleep(10 * time.Minute)
		p.did(t, "fetched e", "end e")

		p.deployer.set(time.Second, nil)
		p.Redo()
		time.Sleep(time.Minute)
		p.Redo() // waits, too, and is not forgotten
		time.Sleep(time.Hour)
		p.did(t, "begin e", "fetched e", "end e: superseded by a newer revision", "begin e", "fetched e", "end e")
		p.deployer.set(time.Second, nil)
		p.Redo()
		time.Sleep(time.Minute)
		p.did(t, "begin e")
	})
	if got, want := d.did(), []string{"begin e", "end e: context canceled"}; !slices.Equal(got, want) {
		t.Errorf("when Run ended: got %q, want %q", got, want)
	}
}

// TestPipelineGoesOnWithTheNewestAfterAFetchThatFailed, whenever the failed one would be
// tried again: a push is told of once.
func TestPipelineGoesOnWithTheNewestAfterAFetchThatFailed(t *testing.T) {
	inBubblePolling(t, 24*time.Hour, func(t *testing.T, p pipelineTest) {
		time.Sleep(2 * time.Second)
		p.deployer.slow(time.Minute, source.ErrUnreachable)
		p.deployer.set(time.Second, nil)
		p.repository.set(revision(t, "b"), nil)
		p.Trigger()
		time.Sleep(time.Second)
		p.repository.set(revision(t, "c"), nil)
		p.Trigger()
		time.Sleep(time.Minute)
		p.did(t, "begin b", "end b: the repository cannot be read", "begin c")
	})
}

// pushDuringAFetch has c be pushed, and seen, while b is fetched, and the repository be
// unreachable from then on.
func (p pipelineTest) pushDuringAFetch(t *testing.T) {
	t.Helper()
	time.Sleep(2 * time.Second)
	p.deployer.slow(time.Minute, nil)
	p.deployer.set(time.Second, nil)
	p.repository.set(revision(t, "b"), nil)
	p.Trigger()
	time.Sleep(time.Second)
	p.repository.set(revision(t, "c"), nil)
	p.Trigger()
	time.Sleep(time.Second)
	p.repository.set(revision(t, "c"), source.ErrUnreachable)
}

// TestPipelineLooksAgainForWhatItDidNotSee: what was pushed during a fetch is not forgotten
// where the look after it fails.
func TestPipelineLooksAgainForWhatItDidNotSee(t *testing.T) {
	inBubblePolling(t, 24*time.Hour, func(t *testing.T, p pipelineTest) {
		p.pushDuringAFetch(t)
		time.Sleep(2 * time.Minute)
		p.did(t, "begin b", "fetched b", "end b")
		p.repository.set(revision(t, "c"), nil)
		time.Sleep(time.Minute)
		p.did(t, "begin b", "fetched b", "end b", "begin c")
	})
}

// TestPipelineLooksAgainForWhatItSawBeforeALookThatFailed: nor is it where that look was
// under way when the deployment ended.
func TestPipelineLooksAgainForWhatItSawBeforeALookThatFailed(t *testing.T) {
	inBubblePolling(t, 24*time.Hour, func(t *testing.T, p pipelineTest) {
		p.pushDuringAFetch(t)
		p.repository.slow(2 * time.Minute)
		p.Trigger()
		time.Sleep(2*time.Minute - time.Second)
		p.did(t, "begin b", "fetched b", "end b")
		p.repository.set(revision(t, "c"), nil)
		p.repository.slow(0)
		time.Sleep(time.Second + firstRetry)
		p.did(t, "begin b", "fetched b", "end b", "begin c")
	})
}

func TestPipelineTriesAgainMoreAndMoreSeldom(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) {
		p.deployer.set(time.Second, errors.New("does not build"))
		time.Sleep(2 * time.Second)
		if got := p.fleet.SourceStatus("main").Error; got != "does not build" {
			t.Errorf("source error = %q", got)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := len(p.deployer.did()) / 2; n < 20 || n > 35 {
			t.Errorf("tried %d times in a day, want about once an hour", n)
		}
		if got := p.fleet.SourceStatus("main").Error; got != "does not build" {
			t.Errorf("source error = %q after a day", got)
		}
		p.deployer.set(time.Second, nil)
		p.Trigger() // but at once when asked
		p.did(t, "begin a")
		time.Sleep(time.Hour)
		p.did(t, "begin a", "end a")
		if got := p.fleet.SourceStatus("main").Error; got != "" {
			t.Errorf("source error = %q after it went well", got)
		}
	})
}

func TestPipelineBeginsAnewWhenTold(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) {
		time.Sleep(2 * time.Second)
		p.Redo()
		time.Sleep(2 * time.Second)
		p.did(t, "begin a", "end a", "begin a", "end a")
		p.repository.set(proto.Revision{}, errors.New("connection refused"))
		p.Redo() // is not forgotten
		time.Sleep(2 * time.Second)
		p.repository.set(revision(t, "a"), nil)
		time.Sleep(2 * time.Minute)
		p.did(t, "begin a", "end a", "begin a", "end a", "begin a", "end a")
	})
}

func TestPipelineWaitsForNoPollToTryAgain(t *testing.T) {
	inBubblePolling(t, 24*time.Hour, func(t *testing.T, p pipelineTest) {
		p.deployer.set(time.Second, errors.New("does not build"))
		time.Sleep(time.Second + firstRetry)
		p.did(t, "end a", "begin a")
		time.Sleep(time.Second)
		p.repository.set(revision(t, "a"), errors.New("connection refused"))
		time.Sleep(2 * firstRetry) // the source cannot be looked at just then, and not all the time
		p.did(t, "end a", "begin a", "end a")
		p.repository.set(revision(t, "a"), nil)
		p.deployer.set(time.Second, nil)
		time.Sleep(30 * time.Hour)
		p.did(t, "begin a", "end a")
	})
}

func TestPipelineHearsWhoAsksWhileItFails(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) {
		p.deployer.set(time.Second, errors.New("does not build"))
		p.repository.slow(5 * time.Second)
		p.Trigger()
		time.Sleep(5 * time.Second) // it failed while the source was looked at
		p.did(t, "end a", "begin a")
	})
}

func TestPipelineLivesWithoutItsRepository(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) {
		time.Sleep(2 * time.Second)
		p.repository.set(proto.Revision{}, errors.New("connection refused"))
		p.Trigger()
		synctest.Wait()
		s := p.fleet.SourceStatus("main")
		if s.Error != "connection refused" || s.Revision != revision(t, "a") || !s.Checked.Equal(time.Now()) {
			t.Errorf("source = %+v, want the error, now, and the revision seen before", s)
		}
		p.repository.set(revision(t, "b"), nil)
		time.Sleep(2 * time.Minute)
		p.did(t, "begin a", "end a", "begin b", "end b")
	})
}

func TestPipelineEndsWhatIsUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, p pipelineTest) { p.deployer.set(time.Hour, nil) }) // Run has to return at once
}
