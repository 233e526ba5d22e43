package bus

import (
	"cmp"
	"context"
	"encoding/json"

	"github.com/nats-io/nats.go/micro"

	"kedge/proto"
)

// A Caller is who makes a call, as the server vouches for it.
type Caller struct {
	Name      string // the name that the credentials were issued for
	PublicKey string // of the user, "U…"; the hash of a token, over HTTP
	Address   string // the client's, as the server sees it
}

// requestInfo is the header in which the server says who made a request that
// came from another account. A client cannot set it: the server overwrites it.
const requestInfo = "Nats-Request-Info"

// callerOf returns who made r, and where locate, which may be nil, says that the client
// with the server's id for it is.
func callerOf(r micro.Request, locate func(id uint64) string) Caller {
	var who struct {
		Name string `json:"name_tag"`
		User string `json:"user"`
		Host string `json:"host"`
		ID   uint64 `json:"id"`
	}
	if json.Unmarshal([]byte(r.Headers().Get(requestInfo)), &who) != nil {
		return Caller{}
	}
	c := Caller{Name: who.Name, PublicKey: who.User, Address: who.Host}
	if locate != nil {
		c.Address = cmp.Or(locate(who.ID), c.Address)
	}
	return c
}

// callerKey is the key of a context's caller.
type callerKey struct{}

// WithCaller returns a context for what c asked for; see [Fleet.Audit].
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// signed returns e with the key and the address of who called, if that is its actor.
func signed(ctx context.Context, e proto.AuditEntry) proto.AuditEntry {
	if c, ok := ctx.Value(callerKey{}).(Caller); ok && c.Name == e.Actor {
		e.Key, e.From = c.PublicKey, c.Address
	}
	return e
}
