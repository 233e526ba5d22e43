package proto

import (
	"fmt"
	"time"
)

// An Act is what somebody did that is worth a line in the audit.
type Act string

// The acts.
const (
	ActPublish    Act = "publish"     // said what a host shall run
	ActWithdraw   Act = "withdraw"    // withdrew releases
	ActReconcile  Act = "reconcile"   // asked for a look at the source
	ActHostAdd    Act = "host-add"    // issued credentials to a host
	ActHostToken  Act = "host-token"  // let whoever has a token enrol a host
	ActHostEnroll Act = "host-enroll" // such a token was used
	ActHostRevoke Act = "host-revoke" // let a host in no more
	ActHostReset  Act = "host-reset"  // let a host accept again that lost what it remembered
	ActKeyAdd     Act = "key-add"     // made a further key
	ActKeyRetire  Act = "key-retire"  // destroyed a key

	ActSecondMachine Act = "second-machine" // turned a machine away that would be a host

	ActOperatorAdd    Act = "operator-add"    // issued credentials to an operator
	ActOperatorToken  Act = "operator-token"  // let whoever has a token call the API over HTTP
	ActOperatorRevoke Act = "operator-revoke" // let an operator in no more

	ActLeaseAcquire Act = "lease-acquire" // let a host reboot
	ActLeaseRelease Act = "lease-release" // a host gave that back
	ActLeaseExpire  Act = "lease-expire"  // a host kept it for too long, and another needed it
	ActLeaseFree    Act = "lease-free"    // took it from a host
)

// An AuditEntry is one line of the audit: who did what to which host.
type AuditEntry struct {
	Format   int       `json:"format"`
	Time     time.Time `json:"time"`
	Actor    string    `json:"actor"`         // an operator's name, or ServiceName for the controller itself
	Key      string    `json:"key,omitempty"` // public, of the actor's credentials; of a token, its hash
	Act      Act       `json:"act"`
	From     string    `json:"from,omitempty"` // the address that it was done from
	Host     HostName  `json:"host,omitzero"`
	Serial   Serial    `json:"serial,omitempty"`
	Toplevel StorePath `json:"toplevel,omitzero"`
	Revision Revision  `json:"revision,omitzero"`
	Message  string    `json:"message,omitempty"`
}

// MaxAudit limits an entry, in bytes.
const MaxAudit = 16 << 10

// AuditSubject is where what controllers did is kept.
const AuditSubject = subjectRoot + "audit.act"

// Encode returns e as JSON of at most [MaxAudit] bytes, its message shortened if it must
// be.
func (e AuditEntry) Encode() ([]byte, error) {
	e.Format = Format1
	return fit("audit entry", MaxAudit, func(budget int) any {
		short := e
		short.Message = shorten(e.Message, budget)
		return short
	})
}

// ParseAuditEntry parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseAuditEntry(b []byte) (AuditEntry, error) {
	var e AuditEntry
	if err := decode("audit entry", b, MaxAudit, &e); err != nil {
		return AuditEntry{}, err
	}
	if e.Actor == "" || e.Act == "" {
		return AuditEntry{}, fmt.Errorf("audit entry: %w: actor and act are required", ErrMalformed)
	}
	return e, nil
}
