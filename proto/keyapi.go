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

// A HostResetRequest asks to let a host accept again that lost what it remembered.
type HostResetRequest struct {
	Host HostName `json:"host"`
	// Reset is one that a spare key signed; nil has the controller sign it.
	Reset *Envelope `json:"reset,omitempty"`
}

// A HostResetReply says from where on the host accepts.
type HostResetReply struct {
	Serial Serial `json:"serial"` // of assignments
}

// A KeyRole is what a key signs.
type KeyRole string

// The roles of keys.
const (
	KeyRelease    KeyRole = "release"
	KeyController KeyRole = "controller"
)

// A KeyStatusRequest asks who trusts which keys.
type KeyStatusRequest struct{}

// A KeyStatusReply has every key that the controller knows.
type KeyStatusReply struct {
	Hosts int         `json:"hosts"` // how many there are
	Keys  []KeyStatus `json:"keys"`
}

// A KeyStatus is one key, and who trusts it by what the host runs, committed.
type KeyStatus struct {
	Key  PublicKey `json:"key"`
	Role KeyRole   `json:"role"`
	// Held is true if the controller signs with it, and Spare if it is a controller
	// key that is kept elsewhere.
	Held  bool `json:"held,omitempty"`
	Spare bool `json:"spare,omitempty"`
	// Unlisted is true for a release key that has not signed the list of withdrawals:
	// hosts that trust none but such keys refuse all that comes with it.
	Unlisted bool `json:"unlisted,omitempty"`
	Trusted  int  `json:"trusted"` // by so many hosts
	// Lacking are hosts that do not trust it, or do not say so; MaxKeyHosts of them
	// at most.
	Lacking []HostName `json:"lacking,omitempty"`
	// Needed are hosts that are not known to trust another key that the controller
	// holds for the role: they would be locked out if it were retired.
	Needed []HostName `json:"needed,omitempty"`
}

// MaxKeyHosts is how many hosts a [KeyStatus] names of each kind.
const MaxKeyHosts = 100

// A KeyAddRequest asks the controller to make a further key, which signs beside
// the others. It may be repeated: one that no host is known to trust yet is not
// followed by another.
type KeyAddRequest struct {
	Role KeyRole `json:"role"`
}

// A KeyAddReply has the public half. The secret half stays where it was made.
type KeyAddReply struct {
	Key PublicKey `json:"key"`
	// Again is true if it was made before, and no host is known to trust it yet.
	Again bool `json:"again,omitempty"`
}

// A KeyRetireRequest asks to destroy the secret half of a key. It is refused while
// hosts need it, unless forced. It may be repeated.
type KeyRetireRequest struct {
	Name  string `json:"name"`
	Force bool   `json:"force,omitempty"`
}

// A KeyRetireReply names the hosts that are locked out by it.
type KeyRetireReply struct {
	Needed []HostName `json:"needed,omitempty"`
	// Again is true if it was retired before: nothing was done, nor is it in the audit.
	Again bool `json:"again,omitempty"`
}
