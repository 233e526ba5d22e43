package leader

import (
	"errors"
	"testing"

	"kedge/proto"
)

// A record may come from a server of somebody else's.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", `{}`, `{"format":2}`, `{"format":1,"holder":"a","term":"1"}`, `{"format":1,"holder":""}`, `{"format":1,"holder":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b)
		if err != nil {
			if !errors.Is(err, proto.ErrMalformed) && !errors.Is(err, proto.ErrUnknownFormat) {
				t.Errorf("parse %q: got error %v", b, err)
			}
			return
		}
		written, err := r.encode()
		if err != nil {
			t.Fatalf("encode %+v: %v", r, err)
		}
		again, err := parse(written)
		if err != nil || again.Holder != r.Holder || again.Term != r.Term {
			t.Errorf("parse again %q: got %+v, %v, want %+v", written, again, err, r)
		}
	})
}
