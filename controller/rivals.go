package controller

import (
	"context"
	"errors"
	"slices"
	"time"

	"kedge/controller/internal/enroll"
	"kedge/proto"
)

// enrolAgain says what to do about a second machine.
const enrolAgain = "if this one takes its place, enrol it again: see kedge host token; else give it a name of its own"

// rivalFor is how long after it was last heard of a second machine is shown.
const rivalFor = 15 * time.Minute

// maxBoots is how many boots of a host are remembered, to know one again.
const maxBoots = 8

// rival notes that a machine was turned away because another one is that host.
func (i *identities) rival(ctx context.Context, host proto.HostName, from string, err error) {
	if !errors.Is(err, enroll.ErrOther) {
		return
	}
	now := i.now().UTC()
	if !i.fleet.Rival(host, proto.Rival{Seen: now, Message: err.Error()}) {
		return // it was noted before
	}
	i.log.ErrorContext(ctx, "a second machine wants to be a host", "host", host, "from", from, "err", err)
	i.audit(ctx, proto.AuditEntry{
		Time: now, Actor: proto.ServiceName, Act: proto.ActSecondMachine, Host: host, From: from, Message: err.Error(),
	})
}

// Rival notes that a second machine was heard of that has the credentials of a host. It
// reports whether that is news.
func (f *Fleet) Rival(host proto.HostName, r proto.Rival) (news bool) {
	f.change(host, func(v *proto.HostView) {
		news = v.Rival == nil
		v.Rival = &r
	})
	return news
}

// rotate notes which boot of a host was heard of, and reports whether it is one that
// another boot had followed on: no machine goes back to a boot, so there are two. The
// caller holds the mutex.
func (h *hostState) rotate(boot string) (returned bool) {
	if boot == "" || len(h.boots) > 0 && h.boots[len(h.boots)-1] == boot {
		return false
	}
	returned = slices.Contains(h.boots, boot)
	h.boots = append(slices.DeleteFunc(h.boots, func(b string) bool { return b == boot }), boot)
	h.boots = h.boots[max(0, len(h.boots)-maxBoots):]
	return returned
}

// forgetRival takes back what was noted of a second machine that was not heard of for
// long, and reports whether there was one. The caller holds the mutex.
func (h *hostState) forgetRival(now time.Time) bool {
	if h.view.Rival == nil || now.Sub(h.view.Rival.Seen) < rivalFor {
		return false
	}
	h.view.Rival = nil
	return true
}
