package proto

// A WithdrawalsRequest asks which releases were withdrawn.
type WithdrawalsRequest struct{}

// A WithdrawalsReply is the newest list, as it was signed; nil if there is none.
type WithdrawalsReply struct {
	List *Envelope `json:"list,omitempty"`
}

// A WithdrawRequest asks to take a list of withdrawals, which a release key signed,
// into every host's desired state. It must have all that the list before it has.
type WithdrawRequest struct {
	List Envelope `json:"list"`
}

// A WithdrawReply says what came of it.
type WithdrawReply struct {
	Serial Serial `json:"serial"` // of the list
	// Hosts are those that were assigned a release on the list.
	Hosts []HostName `json:"hosts,omitempty"`
}
