//go:build next

package agent

import "kedge/proto"

// MarshalJSON implements [json.Marshaler].
func (s reportedSteps) MarshalJSON() ([]byte, error) {
	type plain reportedSteps
	return proto.MarshalNext(plain(s))
}

// MarshalJSON implements [json.Marshaler].
func (e followedEnd) MarshalJSON() ([]byte, error) {
	type plain followedEnd
	return proto.MarshalNext(plain(e))
}
