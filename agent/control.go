package agent

import (
	"context"

	"kedge/agent/internal/control"
)

// ServeControl serves a to programs on this host, until Close of the server that
// it returns.
func ServeControl(ctx context.Context, a *Agent) (*control.Server, error) {
	return control.Serve(ctx, control.Options{
		Dir: a.Config.RuntimeDir, Agent: a, Log: a.Log, StatusGroup: a.Config.Control.StatusGroup,
	})
}
