package nix

import (
	"context"
	"errors"
	"fmt"

	"kedge/proto"
)

// changedExit is the exit code of `nix-store --verify-path` for a path whose
// content is not what is registered, or cannot be read.
const changedExit = 1

// verifiedTogether is how many paths are read by one process: few enough that
// not much is read twice for one that is changed.
const verifiedTogether = 64

// Changed returns those of paths whose content is not what is registered, or
// cannot be read at all. It reads all of them. All must be registered as valid.
func (c *CLI) Changed(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error) {
	var changed []proto.StorePath
	for len(paths) > 0 {
		n := min(len(paths), verifiedTogether)
		whole, err := c.whole(ctx, paths[:n]...)
		if err != nil {
			return nil, err
		}
		for _, p := range paths[:n] {
			if whole {
				break
			}
			alone, err := c.whole(ctx, p)
			if err != nil {
				return nil, err
			}
			if !alone {
				changed = append(changed, p)
			}
		}
		paths = paths[n:]
	}
	return changed, nil
}

// whole reports whether the content of each path is what is registered. Of
// several, Nix stops at the first that it cannot read.
func (c *CLI) whole(ctx context.Context, paths ...proto.StorePath) (bool, error) {
	_, err := c.run(ctx, "nix-store", []string{"--verify-path"}, texts(paths))
	var failed *CommandError
	if errors.As(err, &failed) && failed.ExitCode == changedExit && ctx.Err() == nil {
		return false, nil
	}
	return err == nil, err
}

// Repair puts the content that a cache has in the place of what is changed of a
// path, which is registered as valid. The path alone is brought, and nothing is
// built in its place. What is changed stays until the rest has arrived whole.
func (c *CLI) Repair(ctx context.Context, o SubstituteOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	settings := append(o.settings(), Setting{"max-jobs", "0"}, Setting{"builders", ""})
	if _, err := c.hiding(o).run(ctx, "nix-store", []string{"--repair-path"}, []string{o.Path.String()}, settings...); err != nil {
		return err
	}
	// Nix 2.34 ends well, too, where it has brought nothing.
	whole, err := c.whole(ctx, o.Path)
	if err == nil && !whole {
		err = fmt.Errorf("repair %s: %w", o.Path, errNotBrought)
	}
	return err
}
