package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kedge/internal/durable"
	"kedge/proto"
)

// book keeps on the disk what revisions evaluated to, so that a controller that
// starts again, or tries again what failed, need not find out anew. It is a cache:
// what cannot be read in it, or written, costs an evaluation and nothing else.
type book struct {
	dir   string // empty for none
	keep  int    // revisions
	store string // where derivations are looked for
	log   *slog.Logger
}

const bookFormat = 1

// page is a file of the book.
type page struct {
	Format int    `json:"format"`
	Ref    string `json:"ref"` // of the flake
	survey
}

// recall returns what is known of a reference. It is not known any more when a
// derivation of it was collected.
func (b book) recall(ctx context.Context, ref string) (survey, bool) {
	if b.dir == "" || !pinned(ref) {
		return survey{}, false
	}
	file := b.file(ref)
	p, err := file.Read()
	if err != nil || p.Ref != ref {
		if !errors.Is(err, fs.ErrNotExist) {
			b.log.WarnContext(ctx, "evaluation not remembered; it is done again", "ref", ref, "err", err)
		}
		return survey{}, false
	}
	for _, e := range p.Hosts {
		if e == nil {
			continue // as good as not remembered
		}
		if _, err := os.Stat(filepath.Join(b.store, e.Derivation.Base())); err != nil {
			return survey{}, false
		}
	}
	now := time.Now()
	if err := os.Chtimes(file.Path, now, now); err != nil { // it was of use now, and is dropped later
		b.log.DebugContext(ctx, "evaluation not marked as used", "ref", ref, "err", err)
	}
	return p.survey, true
}

// remember keeps what a reference evaluated to. Hosts that are not in it are evaluated
// again. Nobody waits for the disk: a page that is lost with the power, or torn, costs an
// evaluation.
func (b book) remember(ctx context.Context, ref string, s survey, hosts map[proto.HostName]Evaluation) {
	if b.dir == "" || !pinned(ref) {
		return
	}
	p := page{Format: bookFormat, Ref: ref, survey: survey{Names: s.Names, Hosts: make(map[string]*Evaluation, len(hosts)), Kedge: s.Kedge}}
	for host, e := range hosts {
		p.Hosts[host.String()] = &e
	}
	err := b.write(p)
	if err == nil {
		err = b.prune()
	}
	if err != nil {
		b.log.WarnContext(ctx, "evaluation not kept", "ref", ref, "err", err)
	}
}

func (b book) write(p page) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	file := b.file(p.Ref).Path
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func (b book) file(ref string) durable.Document[page] {
	sum := sha256.Sum256([]byte(ref))
	return durable.Document[page]{Path: filepath.Join(b.dir, hex.EncodeToString(sum[:16])+".json"), Format: bookFormat}
}

// prune removes what was of use longest ago.
func (b book) prune() error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	used := map[string]time.Time{}
	var files []string
	for _, e := range entries {
		if stat, err := e.Info(); err == nil && strings.Contains(e.Name(), ".json") {
			used[e.Name()] = stat.ModTime()
			files = append(files, e.Name())
		}
	}
	slices.SortFunc(files, func(x, y string) int { return used[y].Compare(used[x]) })
	for _, name := range files[min(b.keep, len(files)):] {
		if err := remove(filepath.Join(b.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// pinned reports whether a reference always means the same.
func pinned(ref string) bool {
	u, err := url.Parse(ref)
	return err == nil && (u.Query().Has("rev") || u.Query().Has("narHash"))
}
