package bus

import (
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/nats-io/nats.go"

	"kedge/proto"
)

// An answer may come from whoever runs the server, packed or not.
func FuzzDecodeReply(f *testing.F) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(`{"version":1}`)); err != nil {
		f.Fatal(err)
	}
	if err := z.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(packed.Bytes(), true)
	f.Add(packed.Bytes()[:packed.Len()-9], true)
	f.Add([]byte(`{"version":1,"hosts":[{"host":"web1"}]}`), false)
	f.Add([]byte(`{"hosts":[{"host":"../web1"}]}`), false)
	f.Add([]byte(``), true)
	f.Fuzz(func(t *testing.T, data []byte, compressed bool) {
		m := nats.NewMsg("reply")
		m.Data = data
		if compressed {
			m.Header.Set(encodingHeader, encodingGzip)
		}
		var r proto.FleetReply
		if err := decodeReply(m, &r); err != nil {
			return
		}
		for _, v := range r.Hosts {
			if _, err := proto.ParseHostName(v.Host.String()); err != nil && !v.Host.IsZero() {
				t.Errorf("decode %q: a host called %q", data, v.Host)
			}
		}
	})
}
