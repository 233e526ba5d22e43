package proto

// Desired is the desired state of one host as it travels: signed statements
// and nothing else. It is to be believed only as far as [Desired.Verify] says.
type Desired struct {
	Format      int       `json:"format"`
	Release     Envelope  `json:"release"`
	Assignment  Envelope  `json:"assignment"`
	Withdrawals *Envelope `json:"withdrawals,omitempty"`
	// CacheToken is for an assignment that has none, since a spare key signed it far
	// from the controller. It opens nothing but the cache, and is shown to nobody else.
	CacheToken CacheToken `json:"cache_token,omitzero"`
	Reset      *Envelope  `json:"reset,omitempty"` // for a host that lost its floor
}

// Encode returns d as JSON, or an error that wraps [ErrOversized] if nobody
// would read it.
func (d Desired) Encode() ([]byte, error) {
	d.Format = Format1
	b, err := encode("desired state", d)
	if err != nil {
		return nil, err
	}
	if err := checkSize("desired state", b, MaxDesired); err != nil {
		return nil, err
	}
	return b, nil
}

// ParseDesired parses b without verifying it. Errors wrap [ErrOversized],
// [ErrUnknownFormat] or [ErrMalformed].
func ParseDesired(b []byte) (Desired, error) {
	var d Desired
	if err := decode("desired state", b, MaxDesired, &d); err != nil {
		return Desired{}, err
	}
	return d, nil
}
