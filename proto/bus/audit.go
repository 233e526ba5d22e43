package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
)

// auditPage is how many entries a page of the audit has at most, unless it is said.
const auditPage = 100

// Audit keeps e for ever, or as long as the audit reaches, and returns when it
// is stored. If ctx is that of a call, and the caller is the actor, e also says with
// which key, and from where.
func (f *Fleet) Audit(ctx context.Context, e proto.AuditEntry) error {
	b, err := signed(ctx, e).Encode()
	if err != nil {
		return err
	}
	m := nats.NewMsg(proto.AuditSubject)
	m.Data = b
	reply, err := f.conn.request(ctx, m, requestTimeout)
	if err != nil {
		return fmt.Errorf("audit %s by %s: %w", e.Act, e.Actor, err)
	}
	if _, err := parseAck(reply); err != nil {
		return fmt.Errorf("audit %s by %s: %w", e.Act, e.Actor, err)
	}
	return nil
}

// ReadAudit returns a page of the audit. What cannot be read is left out.
func (f *Fleet) ReadAudit(ctx context.Context, r proto.AuditRequest) (proto.AuditReply, error) {
	a, err := f.open(ctx)
	if err != nil {
		return proto.AuditReply{}, fmt.Errorf("read the audit: %w", err)
	}
	s, err := a.js.Stream(ctx, proto.StreamAudit)
	if err != nil {
		return proto.AuditReply{}, fmt.Errorf("read the audit: %w", translate(err))
	}
	limit := uint64(cmp.Or(r.Limit, auditPage)) //nolint:gosec // not negative
	state := s.CachedInfo().State
	first := max(r.After+1, state.FirstSeq)
	if r.Last {
		first = max(state.FirstSeq, state.LastSeq-min(state.LastSeq, limit)+1)
	}
	reply := proto.AuditReply{Entries: []proto.NumberedEntry{}, Next: max(min(r.After, state.LastSeq), first-1)}
	size, sizes := 0, []int{} // of all entries, and of each
	for seq := first; seq <= state.LastSeq && seq < first+limit && (r.Last || size < pageBytes); seq++ {
		reply.Next = seq
		m, err := s.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // it became too old meanwhile
		}
		if err != nil {
			return proto.AuditReply{}, fmt.Errorf("read the audit: %w", translate(err))
		}
		if e, err := proto.ParseAuditEntry(m.Data); err == nil {
			reply.Entries = append(reply.Entries, proto.NumberedEntry{Seq: seq, Entry: e})
			size, sizes = size+len(m.Data), append(sizes, len(m.Data))
		}
	}
	for ; len(sizes) > 1 && size-sizes[0] >= pageBytes; sizes = sizes[1:] { // of the newest only
		size, reply.Entries = size-sizes[0], reply.Entries[1:]
	}
	return reply, nil
}
