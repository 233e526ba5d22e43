package replica

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	"kedge/proto"
	"kedge/proto/bus"
)

// A pieceList is what the key of a file has that is in pieces: where they are, how many,
// and what they are together.
type pieceList struct {
	place byte // 0 or 1
	count int
	sum   [sha256.Size]byte
}

// listSize is how long an encoded list is: format, place, count and sum.
const listSize = 1 + 1 + 2 + sha256.Size

// listOf returns the list of the pieces of what is sealed.
func listOf(sealed []byte, place byte) pieceList {
	return pieceList{place: place, count: (len(sealed) + maxSealed - 1) / maxSealed, sum: sha256.Sum256(sealed)}
}

func (l pieceList) encode() []byte {
	b := binary.BigEndian.AppendUint16([]byte{format2, l.place}, uint16(l.count)) //nolint:gosec // maxFile has fewer
	return append(b, l.sum[:]...)
}

// parseList parses what encode returned. An error wraps [ErrSealed].
func parseList(name string, b []byte) (pieceList, error) {
	if len(b) != listSize || b[1] > 1 {
		return pieceList{}, fmt.Errorf("state %s: list of pieces: %w", name, ErrSealed)
	}
	l := pieceList{place: b[1], count: int(binary.BigEndian.Uint16(b[2:]))}
	copy(l.sum[:], b[4:])
	return l, nil
}

// keys returns the keys of the pieces of a file, in order.
func (l pieceList) keys(name string) []string {
	keys := make([]string, l.count)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s%d.%s", placeOf(l.place), i, name)
	}
	return keys
}

// placeOf is what the keys of pieces in a place begin with.
func placeOf(place byte) string { return fmt.Sprintf("%s%d.", proto.PiecePrefix, place) }

// other returns the place whose pieces nobody needs. The caller holds f.mu.
func (f *shared) other() byte {
	if f.list == nil {
		return 0
	}
	return 1 - f.list.place
}

// putPieces puts what is sealed where l says. Nobody sees it before the list.
func (s *Store) putPieces(name string, l pieceList, sealed []byte) error {
	keys := l.keys(name)
	for piece := range slices.Chunk(sealed, maxSealed) {
		if err := s.putPiece(keys[0], piece); err != nil {
			return err
		}
		keys = keys[1:]
	}
	return nil
}

// emptyPieces empties the pieces of a file that is in one key.
func (s *Store) emptyPieces(name string) error {
	for _, key := range s.pieces.full(name) {
		if err := s.putPiece(key, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) putPiece(key string, piece []byte) error {
	seq, err := s.put(key, piece, s.pieces.seq(key))
	if err == nil {
		s.pieces.note(key, seq, len(piece) > 0)
	}
	return err
}

// whole returns what is sealed of a file, whose key has data, and the list of its pieces
// if it is in some.
func (s *Store) whole(name string, data []byte) ([]byte, *pieceList, error) {
	if len(data) == 0 || data[0] != format2 {
		return data, nil, nil
	}
	l, err := parseList(name, data)
	if err != nil {
		return nil, nil, err
	}
	sealed := s.pieces.join(l.keys(name))
	if sha256.Sum256(sealed) != l.sum {
		return nil, nil, fmt.Errorf("state %s: NATS has not all of its %d pieces", name, l.count)
	}
	return sealed, &l, nil
}

// pieces are those on the bus, by key. Their data is kept from when it is read until the
// list of them is: lists come after what they list. Safe for concurrent use. The zero
// value has none.
type pieces struct {
	mu  sync.Mutex // guards all
	all map[string]piece
}

type piece struct {
	seq  uint64
	full bool
	data []byte
}

func (p *pieces) put(key string, raw bus.Raw) {
	p.set(key, piece{seq: raw.Seq, full: len(raw.Data) > 0, data: raw.Data})
}

func (p *pieces) note(key string, seq uint64, full bool) { p.set(key, piece{seq: seq, full: full}) }

func (p *pieces) set(key string, one piece) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]piece{}
	}
	p.all[key] = one
}

func (p *pieces) seq(key string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[key].seq
}

// join returns the data of keys, one after another.
func (p *pieces) join(keys []string) (data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range keys {
		data = append(data, p.all[key].data...)
	}
	return data
}

// full returns the keys of the pieces of a file that have data on the bus.
func (p *pieces) full(name string) (keys []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, one := range p.all {
		if one.full && isPieceOf(key, name) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// isPieceOf reports whether a key is that of a piece of a file.
func isPieceOf(key, name string) bool {
	parts := strings.SplitN(key, ".", 4) // of [pieceList.keys]
	return len(parts) == 4 && parts[3] == name
}

// forget forgets the data of the pieces that l lists, which was read.
func (p *pieces) forget(name string, l *pieceList) {
	if l == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range l.keys(name) {
		one := p.all[key]
		one.data = nil
		p.all[key] = one
	}
}

// clear forgets all: they were on another bus.
func (p *pieces) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = nil
}
