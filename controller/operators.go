package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"kedge/controller/internal/enroll"
	"kedge/proto"
	"kedge/proto/bus"
)

// maxOperatorName limits the name of an operator, in bytes.
const maxOperatorName = 128

// addOperator vouches for an operator's key.
func (i *identities) addOperator(ctx context.Context, c bus.Caller, req proto.OperatorAddRequest) (proto.OperatorAddReply, error) {
	switch {
	case req.Name != strings.TrimSpace(req.Name) || req.Name == "" || len(req.Name) > maxOperatorName || req.Name == proto.ServiceName:
		return proto.OperatorAddReply{}, bus.Errorf(bus.CodeBadRequest, "name: must be a name of at most %d bytes, and not %q", maxOperatorName, proto.ServiceName)
	case req.Role.Subjects() == nil:
		return proto.OperatorAddReply{}, bus.Errorf(bus.CodeBadRequest, "role: must be viewer, operator or admin, got %q", req.Role)
	case !nkeys.IsValidPublicUserKey(req.PublicKey):
		return proto.OperatorAddReply{}, bus.Errorf(bus.CodeBadRequest, "public_key: must be the public key of a NATS user, such as U…")
	case req.For < 0:
		return proto.OperatorAddReply{}, bus.Errorf(bus.CodeBadRequest, "for: must not be negative")
	}
	now := i.now().UTC()
	op := proto.Operator{Name: req.Name, Role: req.Role, PublicKey: req.PublicKey, Added: now, By: c.Name}
	if req.For > 0 {
		op.Expires = now.Add(req.For).Truncate(time.Second)
	}
	jwt, err := i.authority.OperatorJWT(op.Role, op.Name, op.PublicKey, op.Expires)
	if err != nil {
		return proto.OperatorAddReply{}, err
	}
	if err := i.operators.Add(op); err != nil {
		return proto.OperatorAddReply{}, refused(err)
	}
	i.audit(ctx, proto.AuditEntry{
		Time: now, Actor: c.Name, Act: proto.ActOperatorAdd, Message: fmt.Sprintf("%s as %s, %s", op.Name, op.Role, op.PublicKey),
	})
	i.log.InfoContext(ctx, "operator added", "name", op.Name, "role", op.Role, "key", op.PublicKey, "by", c.Name)
	if err := i.tellLater(ctx); err != nil {
		return proto.OperatorAddReply{}, err
	}
	today := i.anchors()
	return proto.OperatorAddReply{JWT: jwt, Operator: op, Access: proto.Access{Format: proto.Format1, Servers: today.Servers, Pins: today.Pins}}, nil
}

func (i *identities) listOperators(context.Context, bus.Caller, proto.OperatorListRequest) (proto.OperatorListReply, error) {
	return proto.OperatorListReply{Operators: i.operators.List()}, nil
}

// revokeOperator lets an operator in no more, who may be the caller.
func (i *identities) revokeOperator(ctx context.Context, c bus.Caller, req proto.OperatorRevokeRequest) (proto.OperatorRevokeReply, error) {
	now := i.now().UTC()
	op, err := i.operators.Revoke(req.Name, now, c.Name)
	if errors.Is(err, enroll.ErrUnknownOperator) {
		return proto.OperatorRevokeReply{}, bus.Errorf(bus.CodeNotFound, "%v; see kedge operator list", err)
	}
	if err != nil {
		return proto.OperatorRevokeReply{}, err
	}
	i.audit(ctx, proto.AuditEntry{Time: now, Actor: c.Name, Act: proto.ActOperatorRevoke, Message: op.Name + ", " + op.PublicKey})
	i.log.WarnContext(ctx, "operator revoked", "name", op.Name, "key", op.PublicKey, "by", c.Name)
	if err := i.tell(ctx); err != nil {
		return proto.OperatorRevokeReply{}, fmt.Errorf("operator %s is revoked, and NATS does not know yet: %w", op.Name, err)
	}
	return proto.OperatorRevokeReply{Operator: op}, nil
}
