package hosts

import (
	"context"
	"fmt"
)

// Firewall runs nftables commands for the host's own network, as its administrator would with nft. What they make lasts until
// the host's next boot.
func (m *Machine) Firewall(ctx context.Context, commands string) error {
	if _, err := m.namespace().run(ctx, commands, "nft", "-f", "-"); err != nil {
		return fmt.Errorf("firewall of %s: %w", m.options.Name, err)
	}
	return nil
}
