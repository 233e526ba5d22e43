//go:build next

package statefile

import "kedge/proto"

// MarshalJSON implements [json.Marshaler].
func (r receipt) MarshalJSON() ([]byte, error) {
	type plain receipt
	return proto.MarshalNext(plain(r))
}

// MarshalJSON implements [json.Marshaler].
func (h History) MarshalJSON() ([]byte, error) {
	type plain History
	return proto.MarshalNext(plain(h))
}

// MarshalJSON implements [json.Marshaler].
func (q quarantines) MarshalJSON() ([]byte, error) {
	type plain quarantines
	return proto.MarshalNext(plain(q))
}

// MarshalJSON implements [json.Marshaler].
func (s Suspension) MarshalJSON() ([]byte, error) {
	type plain Suspension
	return proto.MarshalNext(plain(s))
}
