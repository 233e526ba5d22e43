package controller

import (
	"context"
	"fmt"
	"slices"

	"kedge/controller/internal/sign"
	"kedge/proto"
	"kedge/proto/bus"
)

// status says of every key who trusts it.
func (k *keyAPI) status(context.Context, bus.Caller, proto.KeyStatusRequest) (proto.KeyStatusReply, error) {
	return k.look(), nil
}

func (k *keyAPI) look() proto.KeyStatusReply {
	hosts := letIn(k.fleet.View().Hosts)
	reply := proto.KeyStatusReply{Hosts: len(hosts)}
	releases, controllers := k.signer.OwnReleaseKeys(), k.signer.ControllerKeys()
	lacking := unlisted(k.signer.ReleaseKeys(), k.publisher.Withdrawals())
	for _, key := range k.signer.ReleaseKeys() {
		s := judgeKey(key, proto.KeyRelease, releases, hosts)
		s.Unlisted = slices.Contains(lacking, key)
		reply.Keys = append(reply.Keys, s)
	}
	for _, key := range slices.Concat(controllers, k.signer.SpareKeys()) {
		s := judgeKey(key, proto.KeyController, controllers, hosts)
		s.Spare = !s.Held
		reply.Keys = append(reply.Keys, s)
	}
	return reply
}

// judgeKey says who trusts key, and who needs it, of the keys held for its role.
func judgeKey(key proto.PublicKey, role proto.KeyRole, held []proto.PublicKey, hosts []proto.HostView) proto.KeyStatus {
	s := proto.KeyStatus{Key: key, Role: role, Held: slices.Contains(held, key)}
	for _, v := range hosts {
		trust := committedTrust(v)
		if trusts(trust, role, key) {
			s.Trusted++
		} else if len(s.Lacking) < proto.MaxKeyHosts {
			s.Lacking = append(s.Lacking, v.Host)
		}
		another := slices.ContainsFunc(held, func(k proto.PublicKey) bool { return k != key && trusts(trust, role, k) })
		if s.Held && !another && len(s.Needed) < proto.MaxKeyHosts {
			s.Needed = append(s.Needed, v.Host)
		}
	}
	return s
}

func trusts(t proto.TrustStatus, role proto.KeyRole, key proto.PublicKey) bool {
	release, controller := t.Trusts(key)
	if role == proto.KeyRelease {
		return release
	}
	return controller
}

// committedTrust returns whom a host trusts by what it runs, if that is proven: a
// configuration in probation may be gone back from. Otherwise it is not known.
func committedTrust(v proto.HostView) proto.TrustStatus {
	s := v.Status
	if s == nil || s.Deployment.Verdict == proto.VerdictPending || s.Systems.Toplevel() != s.Systems.Proven {
		return proto.TrustStatus{}
	}
	return s.Trust
}

// add makes a further key, unless there is one that no host is known to trust yet: whoever
// made that may not have heard of it. What was assigned is signed with it at once. It is
// in the audit each time: no key that signs may be missing there.
func (k *keyAPI) add(ctx context.Context, c bus.Caller, req proto.KeyAddRequest) (proto.KeyAddReply, error) {
	k.rotating.Lock()
	defer k.rotating.Unlock()
	key, again, err := k.untrusted(req.Role)
	if err != nil {
		return proto.KeyAddReply{}, err
	}
	if !again {
		if key, err = k.signer.Add(sign.Role(req.Role)); err != nil {
			return proto.KeyAddReply{}, refusal(err)
		}
	}
	k.wake()
	k.audit(ctx, proto.AuditEntry{Time: k.now().UTC(), Actor: c.Name, Act: proto.ActKeyAdd, Message: key.String()})
	k.log.WarnContext(ctx, "key added", "role", req.Role, "key", key, "again", again, "by", c.Name)
	return proto.KeyAddReply{Key: key, Again: again}, nil
}

// untrusted returns the newest key that was added to those of a role, if no host is known
// to trust it yet. That is not to be said before everything was heard that hosts said.
func (k *keyAPI) untrusted(role proto.KeyRole) (key proto.PublicKey, is bool, err error) {
	var held []proto.PublicKey
	switch role {
	case proto.KeyRelease:
		held = k.signer.OwnReleaseKeys()
	case proto.KeyController:
		held = k.signer.ControllerKeys()
	}
	if len(held) < 2 {
		return proto.PublicKey{}, false, nil
	}
	if !k.fleet.IsCaughtUp() {
		return proto.PublicKey{}, false, bus.Errorf(bus.CodeUnavailable, "not everything is heard yet that hosts said, such as which keys they trust: make it again in a moment")
	}
	newest := held[len(held)-1]
	return newest, judgeKey(newest, role, held, letIn(k.fleet.View().Hosts)).Trusted == 0, nil
}

// retire destroys a key, once everything that was assigned is signed by the others; unless it
// was retired before.
func (k *keyAPI) retire(ctx context.Context, c bus.Caller, req proto.KeyRetireRequest) (proto.KeyRetireReply, error) {
	k.rotating.Lock()
	defer k.rotating.Unlock()
	keys := k.look().Keys
	i := slices.IndexFunc(keys, func(s proto.KeyStatus) bool { return s.Held && s.Key.Name() == req.Name })
	if i < 0 {
		if again, err := k.signer.Retired(req.Name); again || err != nil {
			return proto.KeyRetireReply{Again: again}, err
		}
		return proto.KeyRetireReply{}, bus.Errorf(bus.CodeNotFound, "no key called %q signs here; see kedge key status", req.Name)
	}
	needed := keys[i].Needed
	if len(needed) > 0 && !req.Force {
		return proto.KeyRetireReply{}, bus.Errorf(bus.CodeRefused, "hosts are not known to trust another key, and would be locked out: %s; see kedge key status", hostNames(needed))
	}
	if err := k.publisher.Renew(ctx); err != nil {
		return proto.KeyRetireReply{}, fmt.Errorf("sign everything with the other keys: %w", err)
	}
	if err := k.signer.Retire(req.Name); err != nil {
		return proto.KeyRetireReply{}, refusal(err)
	}
	k.rollouts.forgetReleases()
	k.wake()
	k.audit(ctx, proto.AuditEntry{Time: k.now().UTC(), Actor: c.Name, Act: proto.ActKeyRetire, Message: keys[i].Key.String()})
	k.log.WarnContext(ctx, "key retired", "key", keys[i].Key, "needed_by", hostNames(needed), "by", c.Name)
	return proto.KeyRetireReply{Needed: needed}, nil
}
