package rollout_test

import (
	"errors"
	"os"
	"testing"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// A rollout may come from a server of somebody else's.
func FuzzParse(f *testing.F) {
	golden, err := os.ReadFile("testdata/encoded.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	for _, s := range []string{"", `{}`, `{"format":2}`, `{"format":1,"id":"1"}`, `{"format":1,"id":"1","state":"running"}`, `{"format":1,"id":"1","state":"?"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := rollout.Parse(b)
		if err != nil {
			if !errors.Is(err, proto.ErrMalformed) && !errors.Is(err, proto.ErrUnknownFormat) {
				t.Errorf("parse %q: got error %v", b, err)
			}
			return
		}
		written, err := r.Encode()
		if err != nil {
			t.Fatalf("encode what %q says: %v", b, err)
		}
		if _, err := rollout.Parse(written); err != nil {
			t.Errorf("parse again %q: %v", written, err)
		}
	})
}
