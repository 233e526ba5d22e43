// Package statefile is where agent and transaction keep what they know: durable
// documents in the state directory, and a few files in the runtime directory
// that need not outlive the boot.
//
// The two processes share them. Each document is replaced whole, so that a
// reader never sees half of one; [Dir.Watch] tells one process what the other
// one wrote, and [Dir.LockTransaction] keeps a second transaction away.
//
// A document that is missing is a first start and reads as its zero value. One
// that is torn is a [*durable.CorruptError], one from another version a
// [*durable.FormatError]; neither is ever taken for a missing one.
package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"kedge/agent/internal/deployment"
	"kedge/internal/durable"
)

// The names that [Dir.Watch] takes.
const (
	DeploymentFile = "deployment.json"
	ContactFile    = "contact.json"
)

// Names of the other files.
const (
	floorFile      = "floors.json"
	provenFile     = "proven.json"
	quarantineFile = "quarantine.json"
	suspensionFile = "suspension.json"
	historyFile    = "history.json"
	pruningFile    = "pruning.json"
	bootFile       = "boot.json"
	resortFile     = "resort.json"
	lockFile       = "transact.lock"
	vetoDir        = "inhibit.d"

	// In the runtime directory.
	confirmationFile = "confirmed.json"
	loaderFile       = "loader.json"
	recallFile       = "recall.json"
	specialisedFile  = "specialised.json"
	stuckFile        = "stuck.json"
)

// format1 is the first format of every document. A higher one may only be
// written once every proven agent can read it.
const format1 = 1

// Permissions of directories: what the host is about is kept from its users,
// but for the sockets that they may be given.
const (
	privatePerm fs.FileMode = 0o700
	runtimePerm fs.FileMode = 0o711
)

// A Dir is the pair of directories. It is safe for concurrent use, save that of
// two that change one document at once only one prevails. It holds no state, but
// for one that [Dir.Kept] returned.
type Dir struct {
	State   string // survives power cuts; /var/lib/kedge on a host
	Runtime string // gone after a boot; /run/kedge on a host

	kept *kept // nil if everything is read each time
}

// Prepare makes both directories, where they are missing, and reserves room for
// the record. Users may pass through the runtime directory, to a socket that
// they may use; everything else is for root alone.
func (d Dir) Prepare() error {
	if err := errors.Join(durable.MkdirAll(d.State, privatePerm), durable.MkdirAll(d.Runtime, runtimePerm)); err != nil {
		return err
	}
	d.reserve()
	return nil
}

// Deployment returns the record of the current or last deployment; the zero
// value if there never was one.
func (d Dir) Deployment() (deployment.Deployment, error) {
	return read(d.record())
}

// Save replaces the record. It is on the disk when Save returns nil.
func (d Dir) Save(r deployment.Deployment) error {
	return d.WithReserve(func() error { return document[deployment.Deployment](d, DeploymentFile).Write(r) })
}

// Proven returns the proven system; the zero value if none was named yet.
func (d Dir) Proven() (deployment.Proven, error) {
	return read(d.proven())
}

// SaveProven replaces the proven system durably.
func (d Dir) SaveProven(p deployment.Proven) error {
	return d.WithReserve(func() error { return document[deployment.Proven](d, provenFile).Write(p) })
}

func document[T any](d Dir, name string) durable.Document[T] {
	return durable.Document[T]{Path: filepath.Join(d.State, name), Format: format1}
}

// read returns the document, or the zero value of one that is missing.
func read[T any](doc reader[T]) (T, error) {
	v, err := doc.Read()
	if errors.Is(err, fs.ErrNotExist) {
		var zero T
		return zero, nil
	}
	if err != nil {
		return v, fmt.Errorf("state: %w", err)
	}
	return v, nil
}
