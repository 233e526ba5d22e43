package control

import (
	"context"
	"errors"
	"slices"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// The sockets, in the runtime directory.
const (
	ControlSocket = "control.sock"
	StatusSocket  = "status.sock"
)

// The paths. Those of [StatusSocket] are served by both sockets.
const (
	pathStatus  = "/v1/status"  // GET → proto.Status
	pathHistory = "/v1/history" // GET → statefile.History

	pathReconcile = "/v1/reconcile" // POST
	pathRested    = "/v1/rested"    // GET → proto.Status; 408 if the agent has not come to rest for a while
	pathSuspend   = "/v1/suspend"   // POST SuspendRequest → statefile.Suspension
	pathResume    = "/v1/resume"    // POST ResumeRequest
	pathLift      = "/v1/lift"      // POST LiftRequest → LiftReply
	pathRollBack  = "/v1/rollback"  // POST RollBackRequest → proto.DeploymentStatus; 409 if there is nothing to go back to
	pathConfirm   = "/v1/confirm"   // POST ConfirmRequest → proto.DeploymentStatus; 409 if nothing waits
)

// An Agent is what is asked. Everything may be called at any time.
type Agent interface {
	Status() proto.Status
	History() (statefile.History, error)
	// Reconcile reads the desired state, as somebody who asks, and returns when
	// the agent has begun what follows from it.
	Reconcile(ctx context.Context) error
	// Rested waits until the agent has nothing to do for now, and will not try
	// again what failed. It knows of desired states that were read, not of others.
	Rested(ctx context.Context) (proto.Status, error)
	// Suspend is durable when it returns nil.
	Suspend(ctx context.Context, r SuspendRequest) (statefile.Suspension, error)
	// Resume ends the suspension, if there is one.
	Resume(ctx context.Context, by string) error
	// Lift has what was given up be tried again, and returns it.
	Lift(ctx context.Context, r LiftRequest) ([]statefile.Quarantine, error)
	// Confirm lets the deployment that waits go on in spite of who holds it back,
	// and returns it; [ErrNothing] if none waits.
	Confirm(ctx context.Context, by string) (proto.DeploymentStatus, error)
	// RollBack takes back a deployment that waits for somebody, or for its time; else
	// it begins one of what was proven before, or of a generation. It returns that
	// deployment; [ErrNothing] if there is no such system. Asked again for what was
	// proven before, it returns the deployment that waits to go there.
	RollBack(ctx context.Context, r RollBackRequest) (proto.DeploymentStatus, error)
}

// ErrNothing says that there is nothing to do what was asked to.
var ErrNothing = errors.New("nothing to do")

// A SuspendRequest asks the agent to begin nothing.
type SuspendRequest struct {
	For    time.Duration `json:"for,omitempty"` // nanoseconds; zero: until somebody resumes
	Reason string        `json:"reason,omitempty"`
	By     string        `json:"by,omitempty"`
}

// Suspension returns what r asks for at now.
func (r SuspendRequest) Suspension(now time.Time) statefile.Suspension {
	s := statefile.Suspension{Since: now, Reason: r.Reason, By: r.By}
	if r.For > 0 {
		s.Until = now.Add(r.For)
	}
	return s
}

// A ResumeRequest ends that.
type ResumeRequest struct {
	By string `json:"by,omitempty"`
}

// A LiftRequest ends what keeps a toplevel, or all, from being tried again: its quarantine,
// and that the last deployment was given up.
type LiftRequest struct {
	Toplevel proto.StorePath `json:"toplevel,omitzero"`
	All      bool            `json:"all,omitempty"`
	By       string          `json:"by,omitempty"`
}

// Lift does what r asks for, and returns what was lifted. The transaction's lock keeps
// one that runs from adding a quarantine meanwhile: then it fails.
func (r LiftRequest) Lift(files statefile.Dir, now time.Time) (lifted []statefile.Quarantine, err error) {
	lock, err := files.LockTransaction()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	all, err := files.Quarantines(now)
	if err != nil {
		return nil, err
	}
	record, err := files.Deployment()
	if err != nil {
		return nil, err
	}
	if q, is := givenUp(record); is && !slices.ContainsFunc(all, func(o statefile.Quarantine) bool {
		return o.Toplevel == record.Toplevel || o.Toplevel == record.System()
	}) {
		all = append(all, q)
	}
	for _, q := range all {
		if !r.All && q.Toplevel != r.Toplevel {
			continue
		}
		if err := files.Lift(q.Toplevel, now); err != nil {
			return lifted, err
		}
		lifted = append(lifted, q)
	}
	return lifted, nil
}

// givenUp returns as a quarantine that d is not tried again, or not yet, if so.
func givenUp(d deployment.Deployment) (q statefile.Quarantine, is bool) {
	done := d.Phase == proto.PhaseCommitted || d.Phase == proto.PhaseTried
	if !d.Ordered() || !d.Terminal() || done || d.Lifted {
		return q, false
	}
	return statefile.Quarantine{Toplevel: d.Toplevel, Reason: d.Reason, Since: d.Since}, true
}

// A LiftReply says which there were.
type LiftReply struct {
	Lifted []statefile.Quarantine `json:"lifted"`
}

// A ConfirmRequest lets what waits go on.
type ConfirmRequest struct {
	By string `json:"by,omitempty"`
}

// A RollBackRequest wants an earlier system to run again.
type RollBackRequest struct {
	To     proto.Generation `json:"to,omitempty"`     // zero: what was proven before
	Reboot bool             `json:"reboot,omitempty"` // by a reboot, whatever the policy
	Reason string           `json:"reason,omitempty"`
	By     string           `json:"by,omitempty"`
}

// A failure is what is answered instead.
type failure struct {
	Error string `json:"error"`
}
