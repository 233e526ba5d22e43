package check

import (
	"context"
	"fmt"
	"net"
)

func tryTCP(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	_ = conn.Close() // nothing was written to it
	return nil
}
