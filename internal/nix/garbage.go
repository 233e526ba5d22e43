package nix

import (
	"context"
	"strconv"
)

// CollectGarbage deletes what no root leads to from the local store, until
// about that many bytes are freed or nothing is left to delete. Generations of
// profiles are roots, and stay. What it deleted by the time that it is stopped
// are whole paths. While another collection runs it waits for that one's end.
func (c *CLI) CollectGarbage(ctx context.Context, bytes uint64) error {
	_, err := c.run(ctx, "nix-store", []string{"--gc", "--max-freed", strconv.FormatUint(bytes, 10)}, nil)
	return err
}
