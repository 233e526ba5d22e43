package proto

import (
	"cmp"
	"time"
)

// An Operator is somebody who was given credentials to call the API with.
type Operator struct {
	Name      string    `json:"name"` // as the audit has it
	Role      Role      `json:"role"`
	PublicKey string    `json:"public_key,omitempty"` // a NATS user NKey, "U…"; empty for who has a token
	TokenHash string    `json:"token_hash,omitempty"` // see [OperatorToken.Hash]; empty for who has a key
	Added     time.Time `json:"added"`
	By        string    `json:"by"`
	Expires   time.Time `json:"expires,omitzero"` // zero is never
	// Revoked is when the credentials were taken back; zero if they count.
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
}

// Credential returns what tells o's credentials from others: a public key, or the hash
// of a token.
func (o Operator) Credential() string { return cmp.Or(o.PublicKey, o.TokenHash) }

// An OperatorAddRequest asks for credentials of an operator, whose private key never
// leaves who made it. Another key of the same name does not count any more.
type OperatorAddRequest struct {
	Name      string        `json:"name"`
	Role      Role          `json:"role"`
	PublicKey string        `json:"public_key"`
	For       time.Duration `json:"for,omitempty"` // nanoseconds; zero is for ever
}

// An OperatorAddReply holds the credentials.
type OperatorAddReply struct {
	JWT      string   `json:"jwt"`
	Operator Operator `json:"operator"`
	Access   Access   `json:"access"`
}

// An OperatorListRequest asks for every operator.
type OperatorListRequest struct{}

// An OperatorListReply is every operator that there was, the oldest first.
type OperatorListReply struct {
	Operators []Operator `json:"operators"`
}

// An OperatorRevokeRequest asks to let an operator in no more.
type OperatorRevokeRequest struct {
	Name string `json:"name"`
}

// An OperatorRevokeReply is the operator whose credentials were taken back: the newest
// of them, and the others that counted.
type OperatorRevokeReply struct {
	Operator Operator   `json:"operator"`
	Others   []Operator `json:"others,omitempty"`
}

// An AuditRequest asks for entries of the audit after a sequence number, oldest
// first.
type AuditRequest struct {
	After uint64 `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"` // at most 500; zero means 100
	Last  bool   `json:"last,omitempty"`  // the newest Limit entries, whatever After says
}

// An AuditReply is a page of the audit.
type AuditReply struct {
	Entries []NumberedEntry `json:"entries"`
	Next    uint64          `json:"next"` // what to send as After for the next page
}

// A NumberedEntry is an entry with its place in the audit.
type NumberedEntry struct {
	Seq   uint64     `json:"seq"`
	Entry AuditEntry `json:"entry"`
}

// An ExternalConfigRequest asks what a NATS server of somebody else's needs.
type ExternalConfigRequest struct {
	// SelfSigned is for a server whose operator is not the controller's.
	SelfSigned bool `json:"self_signed,omitempty"`
}

// An ExternalConfigReply is that, as text.
type ExternalConfigReply struct {
	Text string `json:"text"`
}
