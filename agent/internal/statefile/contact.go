package statefile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"kedge/internal/durable"
	"kedge/proto"
)

// A Contact is the receipt of an agent that authenticated to NATS and read its
// desired state: the running agent's claim, by which a transaction knows that
// this very process, and not the one before it, came through.
type Contact struct {
	InvocationID string       `json:"invocation_id"` // of the agent's unit, from systemd: which start of it
	BootID       string       `json:"boot_id"`
	PID          int          `json:"pid"`
	Version      string       `json:"version"` // of the agent
	Serial       proto.Serial `json:"serial"`  // of the assignment that was read; zero if none was ever published
	// Accepted says that the desired state was verified under the running
	// configuration's keys. If not, Reason says why.
	Accepted bool         `json:"accepted"`
	Reason   proto.Reason `json:"reason,omitempty"`
	At       time.Time    `json:"at"`
}

// A receipt is a Contact as it is written.
type receipt struct {
	Format int `json:"format"`
	Contact
}

// contactPerm lets root alone read it, like everything else of ours.
const contactPerm fs.FileMode = 0o600

// Contact returns the last receipt of this boot; the zero value if there is
// none.
func (d Dir) Contact() (Contact, error) {
	path := filepath.Join(d.Runtime, ContactFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Contact{}, nil
	}
	if err != nil {
		return Contact{}, fmt.Errorf("read contact receipt: %w", err)
	}
	var r receipt
	if err := json.Unmarshal(b, &r); err != nil {
		return Contact{}, fmt.Errorf("read contact receipt: %w", &durable.CorruptError{Path: path, Err: err})
	}
	if r.Format != format1 {
		// Of another version's agent, which may mean something else by it.
		return Contact{}, fmt.Errorf("read contact receipt: %w", &durable.FormatError{Path: path, Got: r.Format, Oldest: format1, Newest: format1})
	}
	return r.Contact, nil
}

// SaveContact replaces the receipt: at once and whole, but not durably, as it
// means nothing after a boot.
func (d Dir) SaveContact(c Contact) error {
	b, err := json.Marshal(receipt{Format: format1, Contact: c})
	if err != nil {
		return fmt.Errorf("write contact receipt: %w", err)
	}
	path := filepath.Join(d.Runtime, ContactFile)
	// One writer, the agent, so that one fixed name for the new file is enough.
	temp := filepath.Join(d.Runtime, "."+ContactFile+".tmp")
	if err := os.WriteFile(temp, b, contactPerm); err != nil {
		return fmt.Errorf("write contact receipt: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("write contact receipt: %w", errors.Join(err, os.Remove(temp)))
	}
	return nil
}

// WatchContact watches the receipt; see [Dir.Watch].
func (d Dir) WatchContact(ctx context.Context) (<-chan struct{}, error) {
	return d.Watch(ctx, ContactFile)
}
