package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"kedge/controller/internal/client"
	"kedge/controller/internal/query"
	"kedge/proto"
	"kedge/proto/bus"
)

// maxCalls is how many calls that need the same role are carried out at once, as over
// NATS.
const maxCalls = 256

// Options are what a [Handler] is made of. All are required.
type Options struct {
	// Bearer returns the operator whose token it is, or an error to be told to whoever
	// shows it.
	Bearer func(t proto.OperatorToken, now time.Time) (proto.Operator, error)
	// Description is the API in the words of OpenAPI, as JSON.
	Description []byte
	// Refused is called with the code of every refusal of somebody, before any call.
	Refused func(bus.Code)
	Now     func() time.Time
	Log     *slog.Logger
}

// A Handler answers below [proto.APIPath]. Make one with [New], and say what it answers
// with [Handle].
type Handler struct {
	o         Options
	endpoints map[string]endpoint // by path
	rooms     map[proto.Role]chan struct{}
	failures  *client.Limit

	mu      sync.Mutex // guards what follows
	stopped bool       // no call begins any more
	last    uint64
	under   map[uint64]context.CancelFunc // calls under way
	calls   sync.WaitGroup                // the same
}

var _ http.Handler = (*Handler)(nil)

// An endpoint answers one call.
type endpoint struct {
	Route
	answer func(context.Context, bus.Caller, input) (any, error)
}

// input is the request of a call, as it came.
type input struct {
	query url.Values
	body  []byte
}

// New returns a handler that answers nothing yet.
func New(o Options) *Handler {
	return &Handler{
		o: o, endpoints: map[string]endpoint{}, rooms: map[proto.Role]chan struct{}{},
		failures: client.NewLimit(failuresOfAll, failuresOfOne), under: map[uint64]context.CancelFunc{},
	}
}

// Handle makes h answer the calls to e with f; see [bus.Handle].
func Handle[Req, Rep any](h *Handler, e proto.Endpoint, f func(context.Context, bus.Caller, Req) (Rep, error)) {
	r := routeOf[Req, Rep](e)
	if h.rooms[e.Role()] == nil {
		h.rooms[e.Role()] = make(chan struct{}, maxCalls)
	}
	h.endpoints[r.Path] = endpoint{Route: r, answer: func(ctx context.Context, c bus.Caller, in input) (any, error) {
		var req Req
		var err error
		if e.Reads() {
			err = query.Decode(in.query, &req)
		} else {
			err = bus.DecodeRequest(in.body, &req)
		}
		if err != nil {
			return nil, err
		}
		return f(ctx, c, req)
	}}
}

// Run returns when ctx has ended and so have the calls under way, whose contexts end with
// it. What comes later is refused.
func (h *Handler) Run(ctx context.Context) error {
	<-ctx.Done()
	h.mu.Lock()
	h.stopped = true
	for _, cancel := range h.under {
		cancel()
	}
	h.mu.Unlock()
	h.calls.Wait()
	return nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.URL.Path == descriptionPath && r.Method == http.MethodGet {
		writeJSON(w, http.StatusOK, h.o.Description)
		return
	}
	body, err := h.serve(w, r)
	if err == nil {
		writeJSON(w, http.StatusOK, body)
		return
	}
	known, ok := errors.AsType[*bus.APIError](err)
	if !ok {
		h.o.Log.ErrorContext(r.Context(), "call failed", "path", r.URL.Path, "err", err)
		known = bus.Errorf(bus.CodeInternal, "%v", err)
	}
	writeError(w, known)
}

// serve returns the answer to r.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	op, err := h.authenticate(w, r)
	if err != nil {
		return nil, err
	}
	e, known := h.endpoints[r.URL.Path]
	switch {
	case !known:
		return nil, bus.Errorf(bus.CodeNotFound, "there is no call %s; see %s", strings.TrimPrefix(r.URL.Path, proto.APIPath), descriptionPath)
	case r.Method != e.Method:
		w.Header().Set("Allow", e.Method)
		return nil, bus.Errorf(codeMethod, "%s is called with %s", e.Endpoint.Name(), e.Method)
	}
	if err := h.authorize(w, r, op, e.Endpoint); err != nil {
		return nil, err
	}
	in, err := read(w, r, e.Endpoint)
	if err != nil {
		return nil, err
	}
	// A wait may be as long as the server gives to a request. Where this cannot be said
	// it is only shorter.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	ctx := r.Context()
	if !e.Endpoint.Reads() { // whoever hangs up does not undo half of it, nor keep it out of the audit
		ctx = context.WithoutCancel(ctx)
	}
	ctx, end, err := h.begin(ctx, e.Endpoint.Role())
	if err != nil {
		return nil, err
	}
	defer end()
	c := bus.Caller{Name: op.Name, PublicKey: op.TokenHash, Address: client.Address(r)}
	reply, err := e.answer(bus.WithCaller(ctx, c), c, in)
	if err != nil {
		return nil, err
	}
	b, err := encode(reply)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return b, nil
}

// begin returns the context of a call, and what is to be called at its end.
func (h *Handler) begin(ctx context.Context, role proto.Role) (context.Context, func(), error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return nil, nil, bus.Errorf(bus.CodeUnavailable, "the controller stops")
	}
	room := h.rooms[role]
	select {
	case room <- struct{}{}:
	default:
		return nil, nil, bus.Errorf(bus.CodeUnavailable, "%d calls are under way", maxCalls)
	}
	ctx, cancel := context.WithCancel(ctx)
	h.last++
	id := h.last
	h.under[id] = cancel
	h.calls.Add(1)
	return ctx, func() {
		cancel()
		h.mu.Lock()
		delete(h.under, id)
		h.mu.Unlock()
		<-room
		h.calls.Done()
	}, nil
}
