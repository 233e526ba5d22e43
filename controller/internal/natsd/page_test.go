package natsd_test

import (
	"encoding/json"
	"strings"
	"testing"

	"kedge/proto"
)

// TestPagesFitIntoAMessage: however long entries are, and however many are asked for,
// a page leaves room in the 8 MiB that a message may have.
func TestPagesFitIntoAMessage(t *testing.T) {
	const entries, most = 200, 5 << 20
	w := newWorld(t)
	fleet := w.fleet(t)
	web1 := w.host(t, "web1")
	for n := range entries {
		e := event(t, "web1", n)
		e.Message = strings.Repeat("x", proto.MaxEvent-1000)
		if _, err := web1.PublishEvent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if err := fleet.Audit(t.Context(), proto.AuditEntry{Actor: "eva", Act: proto.ActReconcile, Message: strings.Repeat("x", proto.MaxAudit-1000)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, last := range []bool{false, true} {
		events, err := fleet.Events(t.Context(), proto.EventsRequest{Limit: 1000, Last: last})
		if err != nil {
			t.Fatal(err)
		}
		audit, err := fleet.ReadAudit(t.Context(), proto.AuditRequest{Limit: 500, Last: last})
		if err != nil {
			t.Fatal(err)
		}
		for what, page := range map[string]struct {
			value    any
			n        int
			from, to uint64
			next     uint64
		}{
			"events": {events, len(events.Events), events.Events[0].Seq, events.Events[len(events.Events)-1].Seq, events.Next},
			"audit":  {audit, len(audit.Entries), audit.Entries[0].Seq, audit.Entries[len(audit.Entries)-1].Seq, audit.Next},
		} {
			b, err := json.Marshal(page.value)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > most || page.n == entries || page.next != page.to || int(page.to-page.from)+1 != page.n {
				t.Errorf("%s, the newest: %t: %d bytes, %d entries from %d to %d, next %d", what, last, len(b), page.n, page.from, page.to, page.next)
			}
			if last != (page.to == entries) || last == (page.from == 1) {
				t.Errorf("%s, the newest: %t: the page is from %d to %d", what, last, page.from, page.to)
			}
		}
	}
}
