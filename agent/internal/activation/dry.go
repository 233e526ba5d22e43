package activation

import (
	"context"
	"fmt"

	"kedge/proto"
)

// DryActivate runs toplevel with mode dry-activate and returns what it says that
// it would do. Nothing is touched. A system whose pre-switch checks refuse
// refuses this, too.
func (r Runner) DryActivate(ctx context.Context, toplevel proto.StorePath) ([]string, error) {
	end, err := r.run(ctx, toplevel, modeDry, false)
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask %s what it would change: %w", toplevel, err)
	case end.interrupted:
		return nil, fmt.Errorf("ask %s what it would change: %w", toplevel, context.Cause(ctx))
	case end.exitCode != exitOK:
		return nil, fmt.Errorf("ask %s what it would change: exit code %d: %s", toplevel, end.exitCode, read(end.output).lastWords())
	}
	return end.output, nil
}
