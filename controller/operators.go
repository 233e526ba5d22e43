package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nkeys"

	"kedge/controller/internal/enroll"
	"kedge/proto"
	"kedge/proto/bus"
)

// maxOperatorName limits the name of an operator, in bytes.
const maxOperatorName = 128

// addOperator vouches for an operator's key. It may be repeated: a key that counts stays as
// it is. Who takes another one himself is answered before NATS is told of the one from
// before.
func (i *identities) addOperator(ctx context.Context, c bus.Caller, req proto.OperatorAddRequest) (proto.OperatorAddReply, error) {
	if err := checkOperator(req.Name, req.Role, req.For); err != nil {
		return proto.OperatorAddReply{}, err
	}
	if !nkeys.IsValidPublicUserKey(req.PublicKey) {
		return proto.OperatorAddReply{}, bus.Errorf(bus.CodeBadRequest, "public_key: must be the public key of a NATS user, such as U…")
	}
	now := i.now().UTC()
	op := proto.Operator{Name: req.Name, Role: req.Role, PublicKey: req.PublicKey, Added: now, By: c.Name, Expires: until(now, req.For)}
	jwt, err := i.operatorJWT(op) // before anything is done: it may be that others vouch
	if err != nil {
		return proto.OperatorAddReply{}, err
	}
	op, added, err := i.operators.Add(op)
	switch {
	case err != nil:
		return proto.OperatorAddReply{}, refused(err)
	case added:
		i.audit(ctx, proto.AuditEntry{
			Time: now, Actor: c.Name, Act: proto.ActOperatorAdd, Message: fmt.Sprintf("%s as %s, %s", op.Name, op.Role, op.PublicKey),
		})
		i.log.InfoContext(ctx, "operator added", "name", op.Name, "role", op.Role, "key", op.PublicKey, "by", c.Name)
	default: // it expires as was said the first time
		if jwt, err = i.operatorJWT(op); err != nil {
			return proto.OperatorAddReply{}, err
		}
	}
	if err := i.shutOut(ctx, c, i.tellLater); err != nil {
		return proto.OperatorAddReply{}, err
	}
	return proto.OperatorAddReply{JWT: jwt, Operator: op, Access: i.access()}, nil
}

func (i *identities) operatorJWT(op proto.Operator) (string, error) {
	return i.authority.OperatorJWT(op.Role, op.Name, op.PublicKey, op.Expires)
}

// checkOperator says what is wrong with an operator who is to be added.
func checkOperator(name string, role proto.Role, lifetime time.Duration) error {
	switch {
	case name != strings.TrimSpace(name) || name == "" || len(name) > maxOperatorName || name == proto.ServiceName:
		return bus.Errorf(bus.CodeBadRequest, "name: must be a name of at most %d bytes, and not %q", maxOperatorName, proto.ServiceName)
	case strings.ContainsFunc(name, unicode.IsControl):
		return bus.Errorf(bus.CodeBadRequest, "name: must be one line of text")
	case role.Subjects() == nil:
		return bus.Errorf(bus.CodeBadRequest, "role: must be viewer, operator or admin, got %q", role)
	case lifetime < 0:
		return bus.Errorf(bus.CodeBadRequest, "for: must not be negative")
	}
	return nil
}

// until returns when what is made now, for a time, expires; never if that is zero.
func until(now time.Time, lifetime time.Duration) time.Time {
	if lifetime == 0 {
		return time.Time{}
	}
	return now.Add(lifetime).Truncate(time.Second)
}

// addToken lets whoever has a token, which never came here, call the API over HTTP. It may
// be repeated, as addOperator may. NATS has no part in that.
func (i *identities) addToken(ctx context.Context, c bus.Caller, req proto.OperatorTokenRequest) (proto.OperatorTokenReply, error) {
	if err := checkOperator(req.Name, req.Role, req.For); err != nil {
		return proto.OperatorTokenReply{}, err
	}
	if b, err := hex.DecodeString(req.Hash); err != nil || len(b) != sha256.Size || req.Hash != strings.ToLower(req.Hash) {
		return proto.OperatorTokenReply{}, bus.Errorf(bus.CodeBadRequest, "hash: must be that of a token")
	}
	now := i.now().UTC()
	op := proto.Operator{Name: req.Name, Role: req.Role, TokenHash: req.Hash, Added: now, By: c.Name, Expires: until(now, req.For)}
	op, added, err := i.operators.Add(op)
	if err != nil {
		return proto.OperatorTokenReply{}, refused(err)
	}
	if added {
		i.audit(ctx, proto.AuditEntry{
			Time: now, Actor: c.Name, Act: proto.ActOperatorToken, Message: fmt.Sprintf("%s as %s, %s", op.Name, op.Role, op.TokenHash),
		})
		i.log.InfoContext(ctx, "token of an operator made", "name", op.Name, "role", op.Role, "hash", op.TokenHash, "by", c.Name, "expires", op.Expires)
	}
	return proto.OperatorTokenReply{Operator: op, URLs: i.apiURLs, Pins: i.anchors().Pins}, nil
}

func (i *identities) listOperators(context.Context, bus.Caller, proto.OperatorListRequest) (proto.OperatorListReply, error) {
	return proto.OperatorListReply{Operators: i.operators.List()}, nil
}

// shutOut has tell tell NATS who is revoked; if that cuts off the caller, whose key does not
// count any more, then once the answer is sent.
func (i *identities) shutOut(ctx context.Context, c bus.Caller, tell func(context.Context) error) error {
	if _, err := i.operators.Holder(c.PublicKey, i.now()); !errors.Is(err, enroll.ErrRevoked) {
		return tell(ctx)
	}
	bus.AfterReply(ctx, func() {
		if err := tell(ctx); err != nil {
			i.log.ErrorContext(ctx, "NATS does not know yet that an operator's key is revoked", "name", c.Name, "key", c.PublicKey, "err", err)
		}
	})
	return nil
}

// revokeOperator lets an operator in no more, who may be the caller. Of tokens NATS knows
// nothing.
func (i *identities) revokeOperator(ctx context.Context, c bus.Caller, req proto.OperatorRevokeRequest) (proto.OperatorRevokeReply, error) {
	now := i.now().UTC()
	revoked, err := i.operators.Revoke(req.Name, now, c.Name)
	if errors.Is(err, enroll.ErrUnknownOperator) {
		return proto.OperatorRevokeReply{}, bus.Errorf(bus.CodeNotFound, "%v; see kedge operator list", err)
	}
	if err != nil {
		return proto.OperatorRevokeReply{}, err
	}
	for _, op := range revoked {
		i.audit(ctx, proto.AuditEntry{Time: now, Actor: c.Name, Act: proto.ActOperatorRevoke, Message: op.Name + ", " + op.Credential()})
		i.log.WarnContext(ctx, "operator revoked", "name", op.Name, "key", op.Credential(), "by", c.Name)
	}
	if len(revoked) == 0 {
		revoked = slices.DeleteFunc(i.operators.List(), func(op proto.Operator) bool { return op.Name != req.Name })
	}
	if slices.ContainsFunc(revoked, func(op proto.Operator) bool { return op.PublicKey != "" }) {
		if err := i.shutOut(ctx, c, i.tell); err != nil {
			return proto.OperatorRevokeReply{}, fmt.Errorf("operator %s is revoked, and NATS does not know yet: %w", req.Name, err)
		}
	}
	last := len(revoked) - 1
	return proto.OperatorRevokeReply{Operator: revoked[last], Others: revoked[:last]}, nil
}
