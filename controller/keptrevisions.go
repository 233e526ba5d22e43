package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"kedge/internal/durable"
	"kedge/proto"
)

// keptRevisionsFile is in the state directory.
const keptRevisionsFile = "revisions.json"

// keptRevisions remembers what the last revisions of each source came to, so that it
// stays in the cache. Safe for concurrent use.
type keptRevisions struct {
	path     string
	max      int                      // of each source
	followed func(source string) bool // what is remembered of others is forgotten
	shared   func(path string) error  // see [Controller.shared]

	mu sync.Mutex // for the file
}

// A keptRevision is one of them.
type keptRevision struct {
	Source    string            `json:"source"`
	Revision  proto.Revision    `json:"revision"`
	Toplevels []proto.StorePath `json:"toplevels"`
}

type keptRevisionsRecord struct {
	Revisions []keptRevision `json:"revisions"` // the newest last
}

// note remembers a revision, and forgets the oldest of its source if there are many.
// It is durable then, and known to the other controllers: whoever leads next keeps the
// same in its cache.
func (k *keptRevisions) note(source string, rev proto.Revision, toplevels map[proto.HostName]proto.StorePath) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, err := k.read()
	if err != nil {
		return err
	}
	next := keptRevision{source, rev, slices.Compact(slices.SortedFunc(maps.Values(toplevels), proto.StorePath.Compare))}
	kept, n := []keptRevision{next}, 1
	for _, r := range slices.Backward(all) {
		if r.Source == source {
			if n == k.max || r.Revision == rev {
				continue
			}
			n++
		}
		kept = append(kept, r)
	}
	slices.Reverse(kept)
	if err := k.document().Write(keptRevisionsRecord{kept}); err != nil {
		return err
	}
	return k.shared(k.path)
}

// toplevels returns all that is remembered of the sources that are followed.
func (k *keptRevisions) toplevels() ([]proto.StorePath, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, err := k.read()
	var toplevels []proto.StorePath
	for _, r := range all {
		toplevels = append(toplevels, r.Toplevels...)
	}
	return toplevels, err
}

// read returns what is remembered of the sources that are followed.
func (k *keptRevisions) read() ([]keptRevision, error) {
	r, err := k.document().Read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read which revisions are kept: %w", err)
	}
	return slices.DeleteFunc(r.Revisions, func(r keptRevision) bool { return !k.followed(r.Source) }), nil
}

func (k *keptRevisions) document() durable.Document[keptRevisionsRecord] {
	return durable.Document[keptRevisionsRecord]{Path: k.path, Format: 1}
}
