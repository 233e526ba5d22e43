package replica

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"kedge/proto"
	"kedge/proto/bus"
)

// noise returns what cannot be packed, and is another each time.
func noise(seed byte, bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // documented never to fail
	return string(b)
}

const inPieces = 2*maxSealed + 1<<10 // three

// TestWhoFollowsHasWhatWasSavedInPieces, through every change of how many there are.
func TestWhoFollowsHasWhatWasSavedInPieces(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	c := open(t, b, t.TempDir())
	for i, size := range []int{inPieces, inPieces, inPieces - maxSealed, 10, inPieces} {
		text := noise(byte(i), size)
		a.save(t, "operators.json", text)
		if err := c.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.has(t, map[string]string{"operators.json": text})
		if kept := kept(c.Store); kept > 0 {
			t.Errorf("%d bytes are kept of what was taken", kept)
		}
		if full := len(a.pieces.full("operators.json")); size == 10 && full > 0 {
			t.Errorf("%d pieces are on the bus of what has none", full)
		}
	}
	c.lead(t).save(t, "operators.json", "x")
	open(t, b, t.TempDir()).lead(t).has(t, map[string]string{"operators.json": "x"})
}

func kept(s *Store) (bytes int) {
	for _, one := range s.pieces.all {
		bytes += len(one.data)
	}
	return bytes
}

// A dyingBus takes no more than a number of writes.
type dyingBus struct {
	*fakeBus
	left int
}

var errDead = errors.New("dead")

func (b *dyingBus) PutControl(ctx context.Context, key string, data []byte, last uint64) (uint64, error) {
	if b.left == 0 {
		return 0, errDead
	}
	b.left--
	return b.fakeBus.PutControl(ctx, key, data, last)
}

// TestALeaderThatDiesBetweenPieces leaves the version before, or the new one, and who leads
// next goes on.
func TestALeaderThatDiesBetweenPieces(t *testing.T) {
	for name, leads := range map[string]func(*testing.T, *member) *member{
		"of what it put":  func(_ *testing.T, a *member) *member { return a },
		"of what it read": func(t *testing.T, a *member) *member { return open(t, a.bus, t.TempDir()).lead(t) },
	} {
		t.Run(name, func(t *testing.T) { diesBetweenPieces(t, leads) })
	}
}

func diesBetweenPieces(t *testing.T, leads func(*testing.T, *member) *member) {
	t.Helper()
	first, second, third := noise(1, inPieces), noise(2, inPieces), noise(3, inPieces)
	for n, done := 0, false; !done; n++ {
		b := &fakeBus{}
		a := open(t, b, t.TempDir()).lead(t)
		a.save(t, "operators.json", first)
		a = leads(t, a)
		a.o.Bus = &dyingBus{b, n}
		a.write(t, "operators.json", second)
		err := a.Copy(a.path("operators.json"))
		done = err == nil
		if !done && (!errors.Is(err, errDead) || a.Err() == nil) {
			t.Fatalf("after %d writes: %v; err: %v", n, err, a.Err())
		}
		want := map[bool]string{false: first, true: second}[done]
		c := open(t, b, t.TempDir()).lead(t)
		c.has(t, map[string]string{"operators.json": want})
		c.save(t, "operators.json", third)
		open(t, b, t.TempDir()).lead(t).has(t, map[string]string{"operators.json": third})
		if done && n < 4 {
			t.Errorf("saved with %d writes, want three pieces and their list", n)
		}
	}
}

// TestALateLeaderChangesNoPiece that the one after it put.
func TestALateLeaderChangesNoPiece(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	a.save(t, "operators.json", noise(1, inPieces))
	c := open(t, b, t.TempDir()).lead(t)
	text := noise(2, inPieces)
	c.save(t, "operators.json", text)
	a.write(t, "operators.json", noise(3, inPieces))
	if err := a.Copy(a.path("operators.json")); !errors.Is(err, bus.ErrConflict) || !errors.Is(a.Err(), bus.ErrConflict) {
		t.Errorf("copy: %v; err: %v", err, a.Err())
	}
	open(t, b, t.TempDir()).lead(t).has(t, map[string]string{"operators.json": text})
}

// TestPiecesOnAStreamThatWasMadeAnew are put there as if they had never been anywhere.
func TestPiecesOnAStreamThatWasMadeAnew(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	text := noise(1, inPieces)
	a.save(t, "operators.json", text)
	if err := a.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	*b = fakeBus{}
	a.lead(t)
	open(t, b, t.TempDir()).lead(t).has(t, map[string]string{"operators.json": text})
}

func TestAPieceThatIsNotRightIsNotTaken(t *testing.T) {
	whole := &fakeBus{}
	open(t, whole, t.TempDir()).lead(t).save(t, "operators.json", noise(1, inPieces))
	list := whole.last(proto.StatePrefix + "operators.json").data
	first := whole.last("piece.0.0.operators.json").data
	const lacks, damaged = "has not all of its", "list of pieces: not sealed"
	for name, e := range map[string]struct {
		key  string
		data []byte
		want string
	}{
		"gone":                {"piece.0.1.operators.json", nil, lacks},
		"another":             {"piece.0.1.operators.json", first, lacks},
		"a list that is cut":  {"state.operators.json", list[:9], damaged},
		"a list of nothing":   {"state.operators.json", append([]byte{format2, 0, 0, 0}, list[4:]...), lacks},
		"a list of elsewhere": {"state.operators.json", append([]byte{format2, 9}, list[2:]...), damaged},
	} {
		b := &fakeBus{all: append([]entry{}, whole.all...), seq: whole.seq}
		if _, err := b.PutControl(t.Context(), e.key, e.data, b.last(e.key).seq); err != nil {
			t.Fatal(err)
		}
		c := open(t, b, t.TempDir())
		if err := c.Follow(t.Context()); err == nil || !strings.Contains(err.Error(), e.want) {
			t.Errorf("%s: error = %v, want %q", name, err, e.want)
		}
		c.has(t, map[string]string{})
	}
}

// A deafBus answers one question with nothing.
type deafBus struct {
	*fakeBus
	at uint64 // the question from there
}

func (b *deafBus) NextControl(ctx context.Context, from uint64) (string, bus.Raw, error) {
	if from == b.at {
		b.at = 0
		return "", bus.Raw{}, bus.ErrTimeout
	}
	return b.fakeBus.NextControl(ctx, from)
}

// TestWhatWasReadBeforeAFailureIsReadAgain: it was not taken.
func TestWhatWasReadBeforeAFailureIsReadAgain(t *testing.T) {
	b := &fakeBus{}
	a := open(t, b, t.TempDir()).lead(t)
	a.save(t, "operators.json", "x")
	a.save(t, "desired/web1.json", "1")
	c := open(t, b, t.TempDir())
	c.o.Bus = &deafBus{b, b.seq}
	if err := c.Follow(t.Context()); !errors.Is(err, bus.ErrTimeout) {
		t.Fatalf("follow: %v, want %v", err, bus.ErrTimeout)
	}
	if err := c.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.has(t, map[string]string{"operators.json": "x", "desired/web1.json": "1"})
}
