// Package enroll remembers which hosts were given credentials, and for which
// keys: what NATS is told of who may not connect any more comes from here.
//
// A host has one key that counts, the newest; a machine that is installed anew
// gets another one, and the one before is revoked with it. A key that was revoked
// never counts again.
package enroll

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kedge/internal/durable"
	"kedge/proto"
)

// entryFormat is the format of an entry's file.
const entryFormat = 1

// The errors that callers branch on.
var (
	ErrUnknownHost = errors.New("was never given credentials")
	ErrRevoked     = errors.New("is revoked")
	ErrUnknownKey  = errors.New("is not a key of this host")
	ErrOther       = errors.New("is another machine")
	ErrTaken       = errors.New("is somebody else's")
)

// A Key is a public key that credentials were made for.
type Key struct {
	PublicKey string    `json:"public_key"`
	Added     time.Time `json:"added"`
	By        string    `json:"by"`                 // the operator's name
	From      string    `json:"from,omitempty"`     // the address that a token was used from
	Expires   time.Time `json:"expires,omitzero"`   // of those credentials for it that expire last; zero is never
	Instance  string    `json:"instance,omitempty"` // of the machine that has it; empty until it said
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
}

// IsRevoked reports whether k does not count any more.
func (k Key) IsRevoked() bool { return !k.Revoked.IsZero() }

// entry is the file of one host.
type entry struct {
	Host proto.HostName `json:"host"`
	Keys []Key          `json:"keys"` // oldest first; each at most once
	// Offer is the last token that was made; nil if none counts.
	Offer *Offer `json:"offer,omitempty"`
}

// A Book is a directory with a file for each host. Safe for concurrent use.
type Book struct {
	dir string
	// Shared has a file that was written taken where other controllers find it, and
	// fails if that cannot be. It is set before the book is used, or nil.
	Shared func(path string) error

	mu      sync.Mutex // guards entries
	entries map[proto.HostName]entry
}

// Open reads the book in dir, which is made if it is missing.
func Open(dir string) (*Book, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the book of hosts: %w", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open the book of hosts: %w", err)
	}
	b := &Book{dir: dir, entries: map[proto.HostName]entry{}}
	for _, name := range names {
		base, isEntry := strings.CutSuffix(name.Name(), ".json")
		if !isEntry || strings.HasPrefix(base, ".") {
			continue // a temporary file of a write that never ended
		}
		host, err := proto.ParseHostName(base)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w; move it away", filepath.Join(dir, name.Name()), err)
		}
		e, err := b.document(host).Read()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		e.Host = host
		b.entries[host] = e
	}
	return b, nil
}

// Enrol makes k, durably, the key of host that counts, and revokes all others. A
// key that counts already stays as it is, but for when it expires. With a new key, no
// token of the host counts any more. The error wraps
// [ErrRevoked] if k was revoked, and [ErrTaken] if it is the key of another host.
func (b *Book) Enrol(host proto.HostName, k Key) error {
	return b.change(host, func(e *entry) error {
		if e.find(k.PublicKey) < 0 {
			e.Offer = nil
		}
		return b.enrol(e, k)
	})
}

// Revoke revokes, durably, every key and token of host, and reports whether any of them
// counted until now. It may be repeated. The error wraps [ErrUnknownHost].
func (b *Book) Revoke(host proto.HostName, at time.Time, by string) (counted bool, err error) {
	err = b.change(host, func(e *entry) error {
		offered := e.Offer != nil
		e.Offer = nil
		counted = e.revoke(at, by) || offered
		if len(e.Keys) == 0 && !offered {
			return ErrUnknownHost
		}
		return nil
	})
	return counted, err
}

// Renew returns the key of host that counts, which has to be publicKey. If less than
// half of lifetime is left of it, it is made to expire a whole lifetime from now,
// durably. The first instance that is named is the machine that has the key from then
// on. Errors wrap [ErrUnknownKey], [ErrRevoked] or, for another one, [ErrOther].
func (b *Book) Renew(host proto.HostName, publicKey, instance string, now time.Time, lifetime time.Duration) (Key, error) {
	b.mu.Lock()
	e := b.entries[host]
	b.mu.Unlock()
	i := e.find(publicKey)
	switch {
	case i < 0:
		return Key{}, fmt.Errorf("host %s: key %s %w", host, publicKey, ErrUnknownKey)
	case e.Keys[i].IsRevoked():
		return Key{}, fmt.Errorf("host %s: key %s %w", host, publicKey, ErrRevoked)
	}
	k := e.Keys[i]
	named := k.Instance == "" && instance != ""
	due := !k.Expires.IsZero() && k.Expires.Sub(now) < lifetime/2
	switch {
	case !named && instance != "" && instance != k.Instance:
		return Key{}, fmt.Errorf("host %s %w: %s, and this is %s", host, ErrOther, k.Instance, instance)
	case !named && !due:
		return k, nil
	}
	if named {
		k.Instance = instance
	}
	if due {
		k.Expires = now.Add(lifetime).Truncate(time.Second)
	}
	return k, b.Enrol(host, k) // refuses what was revoked meanwhile
}

// Newest returns the key that host was given last, which may be revoked. It
// reports whether there is one.
func (b *Book) Newest(host proto.HostName) (Key, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := b.entries[host].Keys
	if len(keys) == 0 {
		return Key{}, false
	}
	return keys[len(keys)-1], true
}

// Newest is [Book.Newest] of the book in a directory, which another one may write.
func Newest(dir string, host proto.HostName) (k Key, known bool, err error) {
	e, err := (&Book{dir: dir}).document(host).Read()
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(e.Keys) == 0 {
		return Key{}, false, nil
	}
	if err != nil {
		return Key{}, false, err
	}
	return e.Keys[len(e.Keys)-1], true, nil
}

// Revoked returns the keys that are revoked, sorted, but for those whose last
// credentials would have expired before the instant.
func (b *Book) Revoked(before time.Time) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var keys []string
	for _, e := range b.entries {
		for _, k := range e.Keys {
			if k.IsRevoked() && (k.Expires.IsZero() || !k.Expires.Before(before)) {
				keys = append(keys, k.PublicKey)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// Hosts returns every host in the book, sorted.
func (b *Book) Hosts() []proto.HostName {
	b.mu.Lock()
	defer b.mu.Unlock()
	hosts := make([]proto.HostName, 0, len(b.entries))
	for h := range b.entries {
		hosts = append(hosts, h)
	}
	slices.SortFunc(hosts, proto.HostName.Compare)
	return hosts
}

// change replaces the entry of host, durably, by what do makes of a copy of it. If
// do fails nothing is changed.
func (b *Book) change(host proto.HostName, do func(e *entry) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[host]
	e.Host, e.Keys = host, slices.Clone(e.Keys)
	if err := do(&e); err != nil {
		return fmt.Errorf("host %s: %w", host, err)
	}
	file := b.document(host)
	if err := file.Write(e); err != nil {
		return fmt.Errorf("host %s: %w", host, err)
	}
	if b.Shared != nil {
		if err := b.Shared(file.Path); err != nil {
			return fmt.Errorf("host %s: %w", host, err)
		}
	}
	b.entries[host] = e
	return nil
}

// taken reports whether any host has, or had, a key. The caller holds the mutex.
func (b *Book) taken(publicKey string) bool {
	for _, e := range b.entries {
		if e.find(publicKey) >= 0 {
			return true
		}
	}
	return false
}

func (b *Book) document(host proto.HostName) durable.Document[entry] {
	return durable.Document[entry]{Path: filepath.Join(b.dir, host.String()+".json"), Format: entryFormat}
}

// find returns the place of a key, or -1.
func (e *entry) find(publicKey string) int {
	return slices.IndexFunc(e.Keys, func(k Key) bool { return k.PublicKey == publicKey })
}

// revoke revokes every key, and reports whether one of them counted.
func (e *entry) revoke(at time.Time, by string) (counted bool) {
	for i := range e.Keys {
		if !e.Keys[i].IsRevoked() {
			e.Keys[i].Revoked, e.Keys[i].RevokedBy, counted = at, by, true
		}
	}
	return counted
}
