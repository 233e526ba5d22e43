package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kedge/agent"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/outbox"
	"kedge/proto"
	"kedge/proto/bus"
)

// advance does one step of a transaction.
func (w *world) advance(d deployment.Deployment, p proto.Phase) deployment.Deployment {
	w.t.Helper()
	d, err := d.Advance(deployment.Step{Phase: p, Time: time.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
	if p == proto.PhaseCommitted {
		w.change(func() { w.systems.Current, w.systems.Profile = d.Toplevel, d.Toplevel })
		w.must(w.files.SaveProven(deployment.Proven{Toplevel: d.Toplevel, Generation: 2}))
	}
	w.must(w.files.Save(d))
	return d
}

// steps returns the IDs of the first n steps of d.
func steps(d deployment.Deployment, n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("%s-%d", d.ID, i))
	}
	return ids
}

// told returns the IDs of the steps and the messages of the other events that were
// published, in order; w.mu is held.
func (w *world) told() (all []string) {
	for _, e := range w.events {
		if e.Phase == "" {
			e.ID = e.Message
		}
		all = append(all, e.ID)
	}
	return all
}

func (w *world) awaitTold(want ...string) {
	w.t.Helper()
	w.await(fmt.Sprintf("the events %q", want), func() bool { return slices.Equal(w.told(), want) })
}

// proved has A proven before the agent is started, so that it need not adopt it.
func (w *world) proved() {
	w.t.Helper()
	w.must(w.files.Prepare())
	w.must(w.files.SaveProven(deployment.Proven{Toplevel: pathA, Generation: 1}))
}

// powerCut returns a world of the same host, with what is on its disk now.
func (w *world) powerCut() *world {
	w.t.Helper()
	after := newWorld(w.t)
	w.must(filepath.WalkDir(w.files.State, func(path string, f fs.DirEntry, err error) error {
		to := filepath.Join(after.files.State, strings.TrimPrefix(path, w.files.State))
		if err == nil && f.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		var b []byte
		if err == nil {
			b, err = os.ReadFile(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was there for a moment
		}
		return errors.Join(err, os.WriteFile(to, b, 0o600))
	}))
	after.release, after.controller, after.systems, after.desired = w.release, w.controller, w.systems, w.desired
	return after
}

// TestADeploymentWritesLittle counts what is renamed into the state directory: each
// costs two waits for the disk.
func TestADeploymentWritesLittle(t *testing.T) {
	w := newWorld(t)
	w.proved()
	stop := w.start()
	written := renames(t, w.files.State, filepath.Join(w.files.State, "outbox"))
	w.assign(7, pathB)
	d := w.awaitTransaction()
	d = w.advance(d, proto.PhaseActivating)
	d = w.advance(d, proto.PhaseProbation)
	w.awaitTold(steps(d, 4)...)
	stop() // as the transaction restarts the agent
	stop = w.start()
	d = w.advance(d, proto.PhaseCommitting)
	d = w.advance(d, proto.PhaseCommitted)
	w.awaitTold(steps(d, 6)...)
	w.awaitStatus("the end", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseCommitted })
	w.await("what follows the end", func() bool { return len(w.pruned) > 0 })
	stop()
	want := map[string]int{
		"deployment.json": 2 + 4, // accepted and fetched; by the test, in the place of the transaction
		"proven.json":     1,     // by the test
		"floors.json":     1,
		"history.json":    1,
		"reported.json":   2, // at the end of the one agent, and of the deployment
	}
	if diff := cmp.Diff(want, written()); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

// TestADeploymentLogsLittle: each line costs the host's journal as much as some writes.
func TestADeploymentLogsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.proved()
		var log bytes.Buffer
		w.logged = &log
		changed := make(chan struct{})
		a := w.agent()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.FollowRecord(ctx, changed) }()
		synctest.Wait()
		log.Reset()
		w.assign(7, pathB)
		synctest.Wait()
		d := w.awaitTransaction()
		for _, p := range []proto.Phase{proto.PhaseActivating, proto.PhaseProbation, proto.PhaseCommitting, proto.PhaseCommitted} {
			d = w.advance(d, p)
			changed <- struct{}{}
			synctest.Wait()
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		var got []string
		for line := range strings.Lines(log.String()) {
			got = append(got, strings.TrimSpace(line))
		}
		want := []string{
			`level=INFO msg="deployment begins" deployment=` + d.ID + " attempt=1 phase=accepted toplevel=" + pathB.String(),
			`level=INFO msg="deployment advanced" deployment=` + d.ID + ` from=accepted to=fetched`,
			`level=INFO msg=decided action=rest reason=converged`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("logged (-want +got):\n%s", diff)
		}
	})
}

// renames returns a function that says how often which file in dirs was replaced
// since, by its name.
func renames(t *testing.T, dirs ...string) func() map[string]int {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	watch := os.NewFile(uintptr(fd), "inotify")
	t.Cleanup(func() { _ = watch.Close() })
	for _, dir := range dirs {
		if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_FROM|unix.IN_MOVED_TO); err != nil {
			t.Fatal(err)
		}
	}
	return func() map[string]int {
		all := make([]byte, 1<<20)
		n, err := unix.Read(fd, all)
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		for all = all[:n]; len(all) > 0; {
			length := int(all[12]) | int(all[13])<<8 // of the name, after the head
			name := unix.ByteSliceToString(all[unix.SizeofInotifyEvent:][:length])
			if !strings.HasPrefix(name, ".") { // as what it was before is called
				counts[name]++
			}
			all = all[unix.SizeofInotifyEvent+length:]
		}
		return counts
	}
}

// TestStepsAreToldInOrderWhereverTheAgentDies takes what is on the disk whenever an
// event is published, before and after, and has another agent go on from there.
func TestStepsAreToldInOrderWhereverTheAgentDies(t *testing.T) {
	type death struct {
		told []string // by the one that died
		*world
	}
	w := newWorld(t)
	w.proved()
	var deaths []death
	w.published = func() {
		deaths = append(deaths, death{w.told()[:len(w.events)-1], w.powerCut()}, death{w.told(), w.powerCut()})
	}
	stop := w.start()
	w.assign(7, pathB)
	d := w.awaitTransaction()
	for n, p := range []proto.Phase{proto.PhaseActivating, proto.PhaseProbation, proto.PhaseCommitting, proto.PhaseCommitted} {
		d = w.advance(d, p)
		w.awaitTold(steps(d, n+3)...)
	}
	stop()
	for _, dead := range deaths {
		r, err := dead.files.Deployment()
		if err != nil {
			t.Fatal(err)
		}
		want := steps(r, len(r.History))
		stop := dead.start()
		dead.await("every step", func() bool {
			all := slices.Concat(dead.told, dead.world.told())
			return len(want) == 0 || slices.Contains(all, want[len(want)-1])
		})
		stop()
		again := dead.world.told()
		if missing := slices.DeleteFunc(want, func(id string) bool { return slices.Contains(dead.told, id) || slices.Contains(again, id) }); len(missing) > 0 {
			t.Errorf("died after %q: went on with %q, %q are missing", dead.told, again, missing)
		}
		if !slices.IsSorted(again) {
			t.Errorf("died after %q: went on with %q, which is out of order", dead.told, again)
		}
	}
}

// TestADeploymentThatRestsIsToldOnce: also if the agent then dies. What waits for a
// reboot does so for days.
func TestADeploymentThatRestsIsToldOnce(t *testing.T) {
	for _, p := range []proto.Phase{proto.PhaseSuperseded, proto.PhaseStaged} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.proved()
			d := deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Way: deployment.WayReboot, Proven: deployment.Proven{Toplevel: pathA}}
			for _, step := range []proto.Phase{proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseStaging, p} {
				d, _ = d.Advance(deployment.Step{Phase: step, Time: time.Now()})
			}
			w.record(d)
			w.drain(w.follow())
			synctest.Wait()
			w.awaitTold(steps(d, 4)...)
			after := w.powerCut()
			after.drain(after.follow())
			synctest.Wait()
			if got := after.told(); len(got) > 0 {
				t.Errorf("%s: %q is told again", p, got)
			}
		})
	}
}

// drain has a's events published until the test ends.
func (w *world) drain(a *agent.Agent) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error)
	go func() { done <- a.DrainOutbox(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		w.must(<-done)
	})
}

// TestWhatWasNotToldOutlivesItsRecord has two deployments, a suspension between them,
// and a death, before anybody can be told.
func TestWhatWasNotToldOutlivesItsRecord(t *testing.T) {
	w := newWorld(t)
	w.proved()
	w.offline = true
	a, _ := w.startAgent()
	w.assign(7, pathB)
	first := w.awaitTransaction()
	w.must(a.Resume(t.Context(), "root"))
	for _, p := range []proto.Phase{proto.PhaseActivating, proto.PhaseProbation, proto.PhaseCommitting, proto.PhaseCommitted} {
		first = w.advance(first, p)
	}
	w.assign(8, pathA)
	w.await("the next transaction", func() bool { return w.ensured[len(w.ensured)-1].Serial == 8 })
	second, err := w.files.Deployment()
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(steps(first, 2), []string{"resumed by root"}, steps(first, 6)[2:], steps(second, 2))
	if got := a.Outbox.Len(); got != len(want) {
		t.Errorf("%d events wait, want %d", got, len(want))
	}
	after := w.powerCut()
	after.start()
	after.awaitTold(want...)
}

// TestARecordThatWasNotToldStays has no room for what could not be told.
func TestARecordThatWasNotToldStays(t *testing.T) {
	w := newWorld(t)
	w.proved()
	w.untold = bus.ErrNotConnected
	a, stop := w.startAgent()
	w.assign(7, pathB)
	first := w.awaitTransaction()
	box := filepath.Join(w.files.State, "outbox")
	w.must(os.Remove(box))
	w.must(os.WriteFile(box, nil, 0o600)) // nothing can be written there
	for _, p := range []proto.Phase{proto.PhaseActivating, proto.PhaseProbation, proto.PhaseCommitting, proto.PhaseCommitted} {
		first = w.advance(first, p)
	}
	w.awaitStatus("the end", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseCommitted })
	w.assign(8, pathC)
	w.must(a.Reconcile(t.Context()))
	stop()
	if d, err := w.files.Deployment(); err != nil || d.ID != first.ID {
		t.Fatalf("the record is %s (%v), want %s, which nobody was told of", d.ID, err, first.ID)
	}
	w.must(os.Remove(box))
	w.untold = nil
	w.start()
	w.await("the next deployment", func() bool { return w.ensured[len(w.ensured)-1].Serial == 8 })
	second, err := w.files.Deployment()
	if err != nil {
		t.Fatal(err)
	}
	w.awaitTold(slices.Concat(steps(first, 6), steps(second, 2))...)
}

// TestWhatAnEarlierVersionKeptIsTold has files as every version has written them: two
// steps of the record were handed on, one of which is still queued.
func TestWhatAnEarlierVersionKeptIsTold(t *testing.T) {
	w := newWorld(t)
	w.proved()
	d := deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Proven: deployment.Proven{Toplevel: pathA}}
	for _, p := range []proto.Phase{proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseActivating, proto.PhaseFailed} {
		d = w.advance(d, p)
	}
	w.must(os.WriteFile(filepath.Join(w.files.State, "reported.json"), []byte(`{"format":1,"deployment":"7-x","steps":2}`), 0o600))
	box, err := outbox.Open(outbox.Options{Dir: filepath.Join(w.files.State, "outbox"), Log: slog.New(slog.DiscardHandler)})
	w.must(err)
	w.must(box.Add(proto.Event{ID: "7-x-1", Host: w.host, Deployment: d.ID, Phase: proto.PhaseFetched}))
	stop := w.start()
	w.awaitTold(steps(d, 4)[1:]...)
	stop()
	w.start()
	w.awaitStatus("the host", func(s proto.Status) bool { return s.Deployment.ID == d.ID })
	w.awaitTold(steps(d, 4)[1:]...)
}
