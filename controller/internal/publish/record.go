package publish

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kedge/internal/durable"
	"kedge/proto"
)

// recordFormat is the format of a record's file.
const recordFormat = 1

// A Record is what was signed for one host last.
type Record struct {
	Host    proto.HostName `json:"host"`
	Target  proto.Target   `json:"target"`
	Issued  time.Time      `json:"issued"` // of the assignment
	Release proto.Serial   `json:"release"`
	Desired proto.Desired  `json:"desired"`
	Mode    proto.Mode     `json:"mode,omitempty"` // of the assignment
	Reset   time.Time      `json:"reset,omitzero"` // when the one in Desired was put there
	// Before is what the host was to run before, each toplevel once, the last one
	// first: it may run one of them still, or go back to it.
	Before []Former `json:"before,omitempty"`
	// Token reports whether the assignment has a token for the cache.
	Token bool `json:"token,omitempty"`
	// Near are the caches that the host asks before the controller's own.
	Near []string `json:"near,omitempty"`
}

// A Former is what a release said that was assigned to a host before.
type Former struct {
	Toplevel proto.StorePath `json:"toplevel"`
	Revision proto.Revision  `json:"revision,omitzero"`
	Closure  proto.Digest    `json:"closure,omitzero"`
	Release  proto.Digest    `json:"release,omitzero"` // of its payload
}

// maxBefore is how many toplevels are remembered.
const maxBefore = 8

// after returns r with what the host was to run before, as the record before it
// says.
func (r Record) after(o Record) Record {
	r.Before = o.Before
	if last := o.former(); !last.Toplevel.IsZero() && last.Toplevel != r.Target.Toplevel {
		others := slices.DeleteFunc(slices.Clone(o.Before), func(f Former) bool {
			return f.Toplevel == last.Toplevel || f.Toplevel == r.Target.Toplevel
		})
		r.Before = append([]Former{last}, others[:min(len(others), maxBefore-1)]...)
	}
	return r
}

// former returns what the release in r says; zero before the first.
func (r Record) former() Former {
	f := Former{Toplevel: r.Target.Toplevel, Revision: r.Target.Revision, Release: r.Target.Release}
	if release, err := proto.ReadRelease(r.Desired.Release); err == nil { // it was verified when it was taken
		f.Closure = release.Closure
	}
	return f
}

// toplevels returns all that the host may run.
func (r Record) toplevels() []proto.StorePath {
	if r.Target.Toplevel.IsZero() {
		return nil
	}
	all := []proto.StorePath{r.Target.Toplevel}
	for _, f := range r.Before {
		all = append(all, f.Toplevel)
	}
	return all
}

// newer reports whether r says something later than o does.
func (r Record) newer(o Record) bool {
	if r.Target.Serial != o.Target.Serial {
		return r.Target.Serial > o.Target.Serial
	}
	if !r.Issued.Equal(o.Issued) {
		return r.Issued.After(o.Issued)
	}
	return r.Reset.After(o.Reset)
}

// says reports whether r is what o, whose release is release, would have said.
func (r Record) says(release proto.Release, o Order) bool {
	return o.Assignment == nil && r.Target.Toplevel == release.Toplevel && r.Mode == o.Mode
}

// has reports whether an assignment, with the release that it names, is what r says.
func (r Record) has(assignment proto.Envelope) bool {
	return bytes.Equal(assignment.Payload, r.Desired.Assignment.Payload)
}

// A Shelf keeps records, and the list of withdrawals, which is nil before the
// first. What saves makes something durable before it returns nil, and leaves what
// was before in place if it fails.
type Shelf interface {
	Load() ([]Record, error)
	Save(r Record) error
	Withdrawals() (*proto.Envelope, error)
	SaveWithdrawals(e proto.Envelope) error
}

// Files is a [Shelf] in a directory, with a file <host>.json for every host, and a
// file for the list of withdrawals elsewhere.
type Files struct {
	Dir             string
	WithdrawalsFile string
	// Shared has a file that was written taken where other controllers find it, and
	// fails if that cannot be. Nil where there are none.
	Shared func(path string) error
}

var _ Shelf = Files{}

// Load returns all records. A file that cannot be understood is an error: going
// on without it could say less to a host than it was told before.
func (f Files) Load() ([]Record, error) {
	if err := durable.MkdirAll(f.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("load what was published: %w", err)
	}
	names, err := os.ReadDir(f.Dir)
	if err != nil {
		return nil, fmt.Errorf("load what was published: %w", err)
	}
	var records []Record
	for _, name := range names {
		base, isRecord := strings.CutSuffix(name.Name(), ".json")
		if !isRecord || strings.HasPrefix(base, ".") {
			continue // a temporary file of a write that never ended
		}
		host, err := proto.ParseHostName(base)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w; move it away", filepath.Join(f.Dir, name.Name()), err)
		}
		r, err := f.document(host).Read()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case r.Host != host:
			return nil, fmt.Errorf("load %s: it is about host %s", filepath.Join(f.Dir, name.Name()), r.Host)
		}
		records = append(records, r)
	}
	return records, nil
}

// Toplevels returns what the record of a host says that it may run; nothing if there is
// none. The record may be written meanwhile.
func (f Files) Toplevels(host proto.HostName) ([]proto.StorePath, error) {
	r, err := f.document(host).Read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return r.toplevels(), err
}

// Save writes r to its file.
func (f Files) Save(r Record) error {
	file := f.document(r.Host)
	if err := file.Write(r); err != nil {
		return err
	}
	return f.share(file.Path)
}

func (f Files) share(path string) error {
	if f.Shared == nil {
		return nil
	}
	return f.Shared(path)
}

// Withdrawals reads the list of withdrawals.
func (f Files) Withdrawals() (*proto.Envelope, error) {
	w, err := f.withdrawals().Read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing was withdrawn
	}
	if err != nil {
		return nil, err
	}
	return &w.List, nil
}

// SaveWithdrawals writes it.
func (f Files) SaveWithdrawals(e proto.Envelope) error {
	if err := f.withdrawals().Write(withdrawalsRecord{List: e}); err != nil {
		return err
	}
	return f.share(f.WithdrawalsFile)
}

// withdrawalsRecord is what is in the file.
type withdrawalsRecord struct {
	List proto.Envelope `json:"list"`
}

func (f Files) withdrawals() durable.Document[withdrawalsRecord] {
	return durable.Document[withdrawalsRecord]{Path: f.WithdrawalsFile, Format: recordFormat}
}

func (f Files) document(host proto.HostName) durable.Document[Record] {
	return durable.Document[Record]{Path: filepath.Join(f.Dir, host.String()+".json"), Format: recordFormat}
}
