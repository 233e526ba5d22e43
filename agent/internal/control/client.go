package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// ErrNoAgent says that no agent answers, or none any more.
var ErrNoAgent = errors.New("the agent does not answer")

// restPause is how long to wait for an agent that is being replaced.
const restPause = time.Second

// A Client asks the agent that serves the sockets in Dir.
type Client struct {
	Dir string // the runtime directory
}

// Status returns how the host is.
func (c Client) Status(ctx context.Context) (proto.Status, error) {
	return call[proto.Status](ctx, c, StatusSocket, http.MethodGet, pathStatus, nil)
}

// History returns the deployments that ended last.
func (c Client) History(ctx context.Context) (statefile.History, error) {
	return call[statefile.History](ctx, c, StatusSocket, http.MethodGet, pathHistory, nil)
}

// Reconcile makes the agent look at what it shall run, now.
func (c Client) Reconcile(ctx context.Context) error {
	_, err := call[none](ctx, c, ControlSocket, http.MethodPost, pathReconcile, none{})
	return err
}

// Rested waits until the agent has nothing to do for now, and returns how the
// host is then. An agent that is replaced meanwhile is waited for. last is the
// error in between, if ctx ended first.
func (c Client) Rested(ctx context.Context) (s proto.Status, last error) {
	for {
		s, err := call[proto.Status](ctx, c, ControlSocket, http.MethodGet, pathRested, nil)
		var refused *Error
		switch {
		case err == nil:
			return s, nil
		case ctx.Err() != nil:
			return proto.Status{}, errors.Join(ctx.Err(), last)
		case errors.As(err, &refused) && refused.Code == http.StatusRequestTimeout:
			continue
		case !errors.Is(err, ErrNoAgent):
			return proto.Status{}, err
		}
		last = err
		select {
		case <-time.After(restPause):
		case <-ctx.Done():
		}
	}
}

// Suspend makes the agent begin nothing.
func (c Client) Suspend(ctx context.Context, r SuspendRequest) (statefile.Suspension, error) {
	return call[statefile.Suspension](ctx, c, ControlSocket, http.MethodPost, pathSuspend, r)
}

// Resume ends that.
func (c Client) Resume(ctx context.Context, r ResumeRequest) error {
	_, err := call[none](ctx, c, ControlSocket, http.MethodPost, pathResume, r)
	return err
}

// Lift ends quarantines.
func (c Client) Lift(ctx context.Context, r LiftRequest) (LiftReply, error) {
	return call[LiftReply](ctx, c, ControlSocket, http.MethodPost, pathLift, r)
}

// Confirm lets the deployment that waits go on, and returns it.
func (c Client) Confirm(ctx context.Context, r ConfirmRequest) (proto.DeploymentStatus, error) {
	return call[proto.DeploymentStatus](ctx, c, ControlSocket, http.MethodPost, pathConfirm, r)
}

// RollBack makes an earlier system run again, and returns the deployment of it.
func (c Client) RollBack(ctx context.Context, r RollBackRequest) (proto.DeploymentStatus, error) {
	return call[proto.DeploymentStatus](ctx, c, ControlSocket, http.MethodPost, pathRollBack, r)
}

// An Error is what an agent answers that does not do what it is asked.
type Error struct {
	Code    int // of HTTP
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Is makes an answer to be [ErrNothing] where it says so.
func (e *Error) Is(target error) bool { return target == ErrNothing && e.Code == http.StatusConflict }

// call asks for a path. Its errors wrap [ErrNoAgent], fs.ErrPermission or an
// [*Error], where it is one of these.
func call[A any](ctx context.Context, c Client, socket, method, path string, body any) (a A, err error) {
	var b []byte
	if body != nil {
		if b, err = json.Marshal(body); err != nil {
			return a, fmt.Errorf("ask for %s: %w", path, err)
		}
	}
	// The host is not looked at.
	request, err := http.NewRequestWithContext(ctx, method, "http://kedge-agent"+path, bytes.NewReader(b))
	if err != nil {
		return a, fmt.Errorf("ask for %s: %w", path, err)
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(c.Dir, socket))
		},
	}
	response, err := transport.RoundTrip(request)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrPermission), ctx.Err() != nil:
		return a, fmt.Errorf("ask the agent: %w", err)
	default: // it is not there, or went away
		return a, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusMethodNotAllowed {
		return a, &Error{Code: response.StatusCode, Message: "the agent that runs is of another version, which cannot be asked for " + path}
	}
	if response.StatusCode != http.StatusOK {
		f := failure{Error: response.Status}
		_ = json.NewDecoder(response.Body).Decode(&f) // what is no JSON says nothing more
		return a, &Error{Code: response.StatusCode, Message: f.Error}
	}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return a, fmt.Errorf("ask the agent: read its answer: %w", err)
	}
	return a, nil
}
