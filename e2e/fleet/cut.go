package fleet

import (
	"context"
)

// noHTTP refuses every connection to the controller's HTTP server, as if nobody
// listened there; NATS goes on.
const noHTTP = `table inet noHTTP {
	chain input {
		type filter hook input priority 0;
		tcp dport 8080 reject with tcp reset
	}
}
`

// CutHTTP makes the binary cache unreachable, and nothing else.
func (f *Fleet) CutHTTP(ctx context.Context) error {
	return f.build.Firewall(ctx, noHTTP)
}

// MendHTTP makes it reachable again.
func (f *Fleet) MendHTTP(ctx context.Context) error {
	return f.build.Firewall(ctx, "delete table inet noHTTP\n")
}
