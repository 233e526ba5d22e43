package check

import (
	"context"
	"fmt"
)

func (r *Runner) tryUnit(ctx context.Context, name string) error {
	u, err := r.Units.Unit(ctx, name)
	switch {
	case err != nil:
		return err
	case u.Up():
		return nil
	case !u.Loaded():
		return fmt.Errorf("there is no unit %s", name)
	default:
		return fmt.Errorf("%s is %s (%s)", name, u.ActiveState, u.SubState)
	}
}
