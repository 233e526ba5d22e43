package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"kedge/internal/durable"
	"kedge/proto/bus"
)

const (
	// attempt is how long one write may take.
	attempt = 2 * time.Second
	// retry is how long after one that nobody answered.
	retry = 200 * time.Millisecond
	// floorsFile is below the state directory.
	floorsFile   = "shared.json"
	floorsFormat = 1
)

// A Bus keeps what is shared: several versions of each key. NextControl returns the first
// that was put from a sequence number on, with the instant at which it was stored, and the
// error wraps [bus.ErrNotFound] if there is none.
type Bus interface {
	GetControl(ctx context.Context, key string) (bus.Raw, error)
	PutControl(ctx context.Context, key string, data []byte, last uint64) (uint64, error)
	NextControl(ctx context.Context, from uint64) (key string, r bus.Raw, err error)
}

var _ Bus = (*bus.Fleet)(nil)

// Options is what a store is made of. All are required.
type Options struct {
	Bus   Bus
	Dir   string   // the state directory
	Parts []string // what is shared: files, and directories with files
	Key   []byte   // from [OpenKey]
	Log   *slog.Logger
}

// floors are the versions that were seen, by name.
type floors struct {
	Versions map[string]uint64 `json:"versions"`
}

// A Store is what one controller has of the shared state. [Store.Copy] and
// [Store.SaveFloors] are safe for concurrent use after [Store.Lead]; nothing is before.
type Store struct {
	o      Options
	sealer *sealer
	file   durable.Document[floors]
	fresh  bool // this controller never shared anything

	// Set by Lead.
	check   func(takes time.Duration) error // whether we lead
	bounded func() (context.Context, context.CancelFunc)

	pieces pieces

	mu     sync.Mutex // guards what follows
	files  map[string]*shared
	next   uint64 // is read next
	marks  marks  // of what was read before it
	dirty  bool   // floors changed
	err    error  // why we must not lead on
	failed chan struct{}
}

// shared is a file as it is known.
type shared struct {
	mu      sync.Mutex // held while it is written
	seq     uint64     // on the bus; 0 if it is not there
	version uint64     // the highest that was seen
	behind  bool       // the bus has a lower one
	list    *pieceList // of what is on the bus; nil if that is in one key
}

// Open returns the store of a directory.
func Open(o Options) (*Store, error) {
	sealer, err := newSealer(o.Key)
	if err != nil {
		return nil, fmt.Errorf("shared state: %w", err)
	}
	s := &Store{
		o: o, sealer: sealer, files: map[string]*shared{}, next: 1, failed: make(chan struct{}),
		file: durable.Document[floors]{Path: filepath.Join(o.Dir, floorsFile), Format: floorsFormat},
	}
	f, err := s.file.Read()
	s.fresh = errors.Is(err, fs.ErrNotExist)
	if err != nil && !s.fresh {
		return nil, err
	}
	for name, version := range f.Versions {
		s.files[name] = &shared{version: version}
	}
	return s, nil
}

// Failed is closed when this controller must not lead on, as [Store.Err] says.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err returns why this controller must not lead on; nil while it may.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *Store) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.failed)
	}
	return err
}

// SaveFloors makes durable which versions were seen, if that is news.
func (s *Store) SaveFloors() error {
	s.mu.Lock()
	f := floors{Versions: map[string]uint64{}}
	for name, file := range maps.All(s.files) {
		f.Versions[name] = file.version
	}
	dirty := s.dirty || s.fresh
	s.dirty, s.fresh = false, false
	s.mu.Unlock()
	if !dirty {
		return nil
	}
	if err := s.file.Write(f); err != nil {
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
		return err
	}
	return nil
}

// named returns what is known of a file, which may be nothing.
func (s *Store) named(name string) *shared {
	s.mu.Lock()
	defer s.mu.Unlock()
	file := s.files[name]
	if file == nil {
		file = &shared{}
		s.files[name] = file
	}
	return file
}

// saw notes what the bus has of a file. The caller holds file.mu, or is alone.
func (s *Store) saw(file *shared, seq, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	file.seq, file.behind = seq, version < file.version
	if version > file.version {
		file.version, s.dirty = version, true
	}
}

// Join has the controller of a state directory take whatever the others have, as one that
// knows nothing: what is on its disk may be older.
func Join(dir string) error {
	return durable.Document[floors]{Path: filepath.Join(dir, floorsFile), Format: floorsFormat}.Write(floors{Versions: map[string]uint64{}})
}

// Joined reports whether the controller of a state directory ever shared anything.
func Joined(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, floorsFile))
	return err == nil
}
