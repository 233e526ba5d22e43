package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// handler serves the paths that may be asked: all, or those that only look.
func handler(o Options, control bool) http.Handler {
	mux := http.NewServeMux()
	a := o.Agent
	handle(mux, o.Log, "GET "+pathStatus, func(context.Context, none) (proto.Status, error) { return a.Status(), nil })
	handle(mux, o.Log, "GET "+pathHistory, func(context.Context, none) (statefile.History, error) { return a.History() })
	if !control {
		return mux
	}
	handle(mux, o.Log, "POST "+pathReconcile, func(ctx context.Context, _ none) (none, error) { return none{}, a.Reconcile(ctx) })
	handle(mux, o.Log, "GET "+pathRested, func(ctx context.Context, _ none) (proto.Status, error) {
		ctx, cancel := context.WithTimeout(ctx, restTimeout)
		defer cancel()
		return a.Rested(ctx)
	})
	handle(mux, o.Log, "POST "+pathSuspend, a.Suspend)
	handle(mux, o.Log, "POST "+pathResume, func(ctx context.Context, r ResumeRequest) (none, error) { return none{}, a.Resume(ctx, r.By) })
	handle(mux, o.Log, "POST "+pathLift, func(ctx context.Context, r LiftRequest) (LiftReply, error) {
		lifted, err := a.Lift(ctx, r)
		return LiftReply{Lifted: lifted}, err
	})
	handle(mux, o.Log, "POST "+pathRollBack, a.RollBack)
	handle(mux, o.Log, "POST "+pathConfirm, func(ctx context.Context, r ConfirmRequest) (proto.DeploymentStatus, error) {
		return a.Confirm(ctx, r.By)
	})
	return mux
}

// none is nothing to say.
type none struct{}

// handle answers requests for pattern with what do returns.
func handle[Q, A any](mux *http.ServeMux, log *slog.Logger, pattern string, do func(ctx context.Context, q Q) (A, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if r.Method == http.MethodPost {
			if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
				answer(r.Context(), log, w, http.StatusBadRequest, failure{Error: fmt.Sprintf("malformed request: %v", err)})
				return
			}
		}
		a, err := do(r.Context(), q)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			answer(r.Context(), log, w, http.StatusRequestTimeout, failure{Error: err.Error()})
		case errors.Is(err, ErrNothing):
			answer(r.Context(), log, w, http.StatusConflict, failure{Error: err.Error()})
		case err != nil:
			answer(r.Context(), log, w, http.StatusInternalServerError, failure{Error: err.Error()})
		default:
			answer(r.Context(), log, w, http.StatusOK, a)
		}
	})
}

func answer(ctx context.Context, log *slog.Logger, w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.DebugContext(ctx, "answer was not sent", "err", err)
	}
}
