package proto

import "time"

// A ConditionType names one thing about a host that is so, is not so, or is
// not known. A reader keeps a type that it does not know.
type ConditionType string

// The conditions of a host.
const (
	ConditionReady           ConditionType = "Ready"           // runs what it shall run, proven
	ConditionConnected       ConditionType = "Connected"       // authenticated to NATS
	ConditionAccepted        ConditionType = "Accepted"        // the newest desired state was verified
	ConditionDrifted         ConditionType = "Drifted"         // runs something that was not committed
	ConditionStateValid      ConditionType = "StateValid"      // its state files can be read
	ConditionSuspended       ConditionType = "Suspended"       // begins no deployment, because somebody on the host said so
	ConditionInhibited       ConditionType = "Inhibited"       // activates nothing for a while, because somebody on the host said so
	ConditionRebootInhibited ConditionType = "RebootInhibited" // does not reboot for a while, because somebody on the host said so
	ConditionStuck           ConditionType = "Stuck"           // is in a transaction that cannot go on, and tries again
	ConditionStoreValid      ConditionType = "StoreValid"      // what of the store was read after a boot without an orderly end is what is registered
	ConditionWithdrawn       ConditionType = "Withdrawn"       // runs a release that was withdrawn
	// It runs in the specialisation that its configuration names, or in none if that
	// names none.
	ConditionSpecialised ConditionType = "Specialised"
	// May connect as this host, and act as it.
	ConditionCredentialsValid ConditionType = "CredentialsValid"
	// The running system differs from the booted one in what takes effect with a
	// reboot only.
	ConditionRebootNeeded ConditionType = "RebootNeeded"
	// The boot loader boots a system for trial, and falls back by itself.
	ConditionRebootProtected ConditionType = "RebootProtected"
)

// ConditionTypes returns every type of this version.
func ConditionTypes() []ConditionType {
	return []ConditionType{
		ConditionReady, ConditionConnected, ConditionAccepted, ConditionDrifted, ConditionStateValid, ConditionSuspended, ConditionInhibited,
		ConditionRebootInhibited, ConditionStuck, ConditionStoreValid, ConditionWithdrawn, ConditionSpecialised, ConditionCredentialsValid,
		ConditionRebootNeeded, ConditionRebootProtected,
	}
}

// A ConditionStatus is true, false or not known. The zero value is not known
// either.
type ConditionStatus string

// The values of a condition.
const (
	StatusTrue    ConditionStatus = "True"
	StatusFalse   ConditionStatus = "False"
	StatusUnknown ConditionStatus = "Unknown"
)

// UnmarshalText refuses a status that is not known.
func (s *ConditionStatus) UnmarshalText(b []byte) error {
	v, err := parseEnum("condition status", b, []ConditionStatus{StatusTrue, StatusFalse, StatusUnknown, ""})
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// A Condition is one observed fact, with why and since when.
type Condition struct {
	Type    ConditionType   `json:"type"`
	Status  ConditionStatus `json:"status"`
	Reason  Reason          `json:"reason,omitempty"`
	Message string          `json:"message,omitempty"`
	Since   time.Time       `json:"since,omitzero"`
}
