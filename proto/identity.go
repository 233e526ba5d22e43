package proto

import "time"

// A HostKey is a key that a host was given credentials for.
type HostKey struct {
	PublicKey string    `json:"public_key"` // a NATS user NKey, "U…"
	Enrolled  time.Time `json:"enrolled"`
	By        string    `json:"by"`             // the operator who vouched for it
	From      string    `json:"from,omitempty"` // the address that a token was used from
	// Expires is when the newest credentials for it do; zero is never.
	Expires time.Time `json:"expires,omitzero"`
	// Revoked is when it was revoked; zero if it counts.
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
}

// A HostRevokeRequest asks to let a host in no more.
type HostRevokeRequest struct {
	Host HostName `json:"host"`
}

// A HostRevokeReply is the key that was revoked.
type HostRevokeReply struct {
	Key HostKey `json:"key"`
}

// A HostTokenRequest lets whoever has a token enrol a host, once. The token itself
// stays with who made it.
type HostTokenRequest struct {
	Host HostName      `json:"host"`
	Hash string        `json:"hash"` // see [Token.Hash]
	For  time.Duration `json:"for"`  // nanoseconds
}

// A HostTokenReply says until when, and where.
type HostTokenReply struct {
	Expires time.Time `json:"expires"`
	URLs    []string  `json:"urls"` // of /enroll
	Pins    []Pin     `json:"pins,omitempty"`
}
