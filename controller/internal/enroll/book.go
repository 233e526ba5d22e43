// Package enroll remembers which hosts were given credentials, and for which
// keys, so that they are listed before they ever connect, and that it is known
// what to take back when that can be done.
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

// A Key is a public key that credentials were made for.
type Key struct {
	PublicKey string    `json:"public_key"`
	Added     time.Time `json:"added"`
	By        string    `json:"by"` // the operator's name
}

// entry is the file of one host.
type entry struct {
	Host proto.HostName `json:"host"`
	Keys []Key          `json:"keys"` // oldest first; each at most once
}

// A Book is a directory with a file for each host. Safe for concurrent use.
type Book struct {
	dir string

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

// Add notes, durably, that credentials for host were made for a key. A key that
// is in the book already stays as it is.
func (b *Book) Add(host proto.HostName, k Key) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[host]
	if slices.ContainsFunc(e.Keys, func(o Key) bool { return o.PublicKey == k.PublicKey }) {
		return nil
	}
	e = entry{Host: host, Keys: append(slices.Clone(e.Keys), k)}
	if err := b.document(host).Write(e); err != nil {
		return fmt.Errorf("enroll %s: %w", host, err)
	}
	b.entries[host] = e
	return nil
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

func (b *Book) document(host proto.HostName) durable.Document[entry] {
	return durable.Document[entry]{Path: filepath.Join(b.dir, host.String()+".json"), Format: entryFormat}
}
