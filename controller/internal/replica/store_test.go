package replica

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
	"kedge/proto/bus"
)

// fakeBus is a bucket.
type fakeBus struct {
	mu   sync.Mutex // guards what follows
	seq  uint64
	all  []entry // every version, in order
	lose bool    // the next answer to a write

	reads []uint64 // from where NextControl was asked for something
}

type entry struct {
	key  string
	data []byte
	seq  uint64
	time time.Time
}

// history is how many versions of a key a bucket keeps.
const history = 5

func (b *fakeBus) last(key string) entry {
	for _, e := range slices.Backward(b.all) {
		if e.key == key {
			return e
		}
	}
	return entry{}
}

func (b *fakeBus) GetControl(_ context.Context, key string) (bus.Raw, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.last(key)
	return bus.Raw{Data: e.data, Seq: e.seq}, nil
}

func (b *fakeBus) PutControl(_ context.Context, key string, data []byte, last uint64) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last(key).seq != last {
		return 0, bus.ErrConflict
	}
	b.seq++
	b.all = append(b.all, entry{key, data, b.seq, time.Now()})
	if b.lose {
		b.lose = false
		return 0, bus.ErrTimeout
	}
	return b.seq, nil
}

func (b *fakeBus) NextControl(_ context.Context, from uint64) (string, bus.Raw, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads = append(b.reads, from)
	newer := map[string]int{}
	for _, e := range b.all {
		newer[e.key]++
	}
	for _, e := range b.all {
		if newer[e.key]--; e.seq >= from && newer[e.key] < history {
			return e.key, bus.Raw{Data: e.data, Seq: e.seq, Time: e.time}, nil
		}
	}
	return "", bus.Raw{}, bus.ErrNotFound
}

// lease puts what a leader has when it begins, and returns its sequence number.
func (b *fakeBus) lease(t *testing.T) uint64 {
	t.Helper()
	seq, err := b.PutControl(t.Context(), proto.KeyLeader, []byte("x"), b.last(proto.KeyLeader).seq)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

var key = func() []byte {
	k := make([]byte, keySize)
	_, _ = rand.Read(k)
	return k
}()

// member is a controller with a disk.
type member struct {
	*Store
	dir string
	bus *fakeBus
}

func open(t *testing.T, b *fakeBus, dir string) *member {
	t.Helper()
	s, err := Open(Options{Bus: b, Dir: dir, Parts: []string{"desired", "operators.json"}, Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return &member{Store: s, dir: dir, bus: b}
}

func always(time.Duration) error { return nil }

func (m *member) lead(t *testing.T) *member {
	t.Helper()
	if err := m.Lead(t.Context(), m.bus.lease(t), always); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *member) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// save writes a file and shares it.
func (m *member) save(t *testing.T, name, text string) {
	t.Helper()
	m.write(t, name, text)
	if err := m.Copy(filepath.Join(m.dir, name)); err != nil {
		t.Fatal(err)
	}
}

func (m *member) has(t *testing.T, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	names, err := m.local()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(data)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("on the disk (-want +got):\n%s", diff)
	}
}

func TestWhoLeadsNextHasWhatTheLastOneSaved(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir())
	a.write(t, "operators.json", "from before") // shared when it begins to lead
	a.lead(t)
	a.save(t, "desired/web1.json", "1")
	a.save(t, "desired/web2.json", "1")
	c := open(t, b, t.TempDir())
	if err := c.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.save(t, "desired/web1.json", "2")
	if err := os.Remove(a.path("desired/web2.json")); err != nil {
		t.Fatal(err)
	}
	if err := a.Copy(a.path("desired/web2.json")); err != nil {
		t.Fatal(err)
	}
	c.lead(t)
	c.has(t, map[string]string{"operators.json": "from before", "desired/web1.json": "2"})
	for _, e := range b.all {
		if bytes.Contains(e.data, []byte("from before")) {
			t.Errorf("%s is to be read on the bus", e.key)
		}
	}
	n := len(b.all)
	open(t, b, c.dir).lead(t)
	if len(b.all) != n+1 { // but for the lease
		t.Errorf("%d writes by who knows everything", len(b.all)-n-1)
	}
}

func TestALateLeaderChangesNothing(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	a.save(t, "desired/web1.json", "1")
	c := open(t, b, t.TempDir()).lead(t)
	c.save(t, "desired/web1.json", "2")
	a.write(t, "desired/web1.json", "late")
	if err := a.Copy(a.path("desired/web1.json")); !errors.Is(err, bus.ErrConflict) || !errors.Is(a.Err(), bus.ErrConflict) {
		t.Errorf("copy: %v; err: %v", err, a.Err())
	}
	<-a.Failed()
	again := open(t, b, a.dir).lead(t) // what it wrote on its own disk did not happen
	again.has(t, map[string]string{"desired/web1.json": "2"})
}

func TestNothingIsWrittenWithoutALease(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	a.check = func(takes time.Duration) error {
		if takes != attempt {
			t.Errorf("asked for %s", takes)
		}
		return errors.New("lease is lost")
	}
	a.write(t, "operators.json", "x")
	n := len(b.all)
	if err := a.Copy(a.path("operators.json")); err == nil || len(b.all) != n || a.Err() == nil {
		t.Errorf("copy: %v, %d writes", err, len(b.all)-n)
	}
}

func TestAnAnswerThatIsLostIsNoConflict(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	b.lose = true
	a.save(t, "operators.json", "x")
	a.save(t, "operators.json", "y")
	open(t, b, t.TempDir()).lead(t).has(t, map[string]string{"operators.json": "y"})
}

func TestABusThatLostSomethingTakesNothingBack(t *testing.T) {
	for name, lose := range map[string]func(b *fakeBus){
		"all of it":    func(b *fakeBus) { *b = fakeBus{} },
		"the newest":   func(b *fakeBus) { b.all = b.all[:len(b.all)-2] },
		"another time": func(b *fakeBus) { *b = fakeBus{all: slices.Clone(b.all[:2]), seq: 2} },
	} {
		t.Run(name, func(t *testing.T) {
			b := &fakeBus{}
			a := open(t, b, t.TempDir()).lead(t)
			a.save(t, "desired/web1.json", "1")
			a.save(t, "desired/web1.json", "2")
			a.save(t, "operators.json", "x")
			if err := a.SaveFloors(); err != nil {
				t.Fatal(err)
			}
			lose(b)
			want := map[string]string{"desired/web1.json": "2", "operators.json": "x"}
			open(t, b, a.dir).lead(t).has(t, want)
			open(t, b, t.TempDir()).lead(t).has(t, want)
		})
	}
}

func TestAStoreThatGoesOnAfterTheStreamWasMadeAnew(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	for range 5 {
		a.save(t, "operators.json", "x")
	}
	c := open(t, b, t.TempDir())
	if err := c.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	*b = fakeBus{}
	c.lead(t)
	open(t, b, t.TempDir()).lead(t).has(t, map[string]string{"operators.json": "x"})
}

func TestAnAnswerFromThePastIsNotLedOn(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir())
	if err := a.Lead(t.Context(), 99, always); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("lead: %v", err)
	}
}

func TestOwnStateIsNotMixedWithAnothers(t *testing.T) {
	b := &fakeBus{}
	open(t, b, t.TempDir()).lead(t).save(t, "operators.json", "x")
	dir := t.TempDir()
	c := open(t, b, dir)
	c.write(t, "operators.json", "own")
	if err := c.Lead(t.Context(), b.lease(t), always); !errors.Is(err, ErrOwnState) {
		t.Errorf("lead: %v", err)
	}
	c.has(t, map[string]string{"operators.json": "own"})
	if err := Join(dir); err != nil || !Joined(dir) {
		t.Fatal(err)
	}
	open(t, b, dir).lead(t).has(t, map[string]string{"operators.json": "x"})
}

func TestWhatIsSealedOtherwiseIsNotTaken(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	a.save(t, "operators.json", "x")
	a.save(t, "desired/web1.json", "1")
	sealed := b.last(proto.StatePrefix + "operators.json").data
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, e := range map[string]entry{
		"another file's": {key: "desired/web1.json", data: sealed}, "changed": {key: "operators.json", data: flipped},
		"nothing": {key: "operators.json"}, "a way out": {key: "desired/../../x", data: sealed}, "tomorrow's": {key: "moons/x", data: sealed},
		"a newer format": {key: "operators.json", data: append([]byte{3}, sealed[1:]...)},
	} {
		t.Run(name, func(t *testing.T) {
			other := &fakeBus{seq: 1, all: []entry{{key: proto.StatePrefix + e.key, data: e.data, seq: 1}}}
			c := open(t, other, t.TempDir())
			if err := c.Follow(t.Context()); err == nil {
				t.Error("it was taken")
			}
			c.has(t, map[string]string{})
		})
	}
}

func TestAFileThatIsTooLargeIsNamed(t *testing.T) {
	a := open(t, &fakeBus{}, t.TempDir()).lead(t)
	a.write(t, "operators.json", strings.Repeat("x", maxFile+1))
	err := a.Copy(a.path("operators.json"))
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "operators.json") || a.Err() != nil {
		t.Errorf("copy: %v; err: %v", err, a.Err())
	}
	a.save(t, "operators.json", strings.Repeat("x", maxFile))
}

// TestAFileThatIsTooLargeKeepsNobodyFromLeading: it was written before that was known.
func TestAFileThatIsTooLargeKeepsNobodyFromLeading(t *testing.T) {
	b := &fakeBus{}
	dir := t.TempDir()
	a := open(t, b, dir).lead(t)
	a.write(t, "operators.json", strings.Repeat("x", maxFile+1))
	if err := a.Copy(a.path("operators.json")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("copy: %v, want %v", err, ErrTooLarge)
	}
	again := open(t, b, dir).lead(t)
	again.save(t, "operators.json", "smaller")
}

func TestOtherFilesAreNotShared(t *testing.T) {
	a := open(t, &fakeBus{}, t.TempDir()).lead(t)
	for _, name := range []string{"keys/controller", "../x", "desired/.x.tmp-1"} {
		if err := a.Copy(filepath.Join(a.dir, name)); err == nil {
			t.Errorf("%s was shared", name)
		}
	}
}

func TestOpenKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	k, err := OpenKey(file)
	if err != nil || len(k) != keySize {
		t.Fatalf("%d bytes, %v", len(k), err)
	}
	if again, err := OpenKey(file); err != nil || !bytes.Equal(k, again) {
		t.Errorf("another key: %v", err)
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKey(file); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a damaged key: %v", err)
	}
}
