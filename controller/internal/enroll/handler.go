package enroll

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nkeys"

	"kedge/controller/internal/client"
	"kedge/proto"
)

// How many requests are answered within a window, of everybody and of one client: a
// site behind one address enrols within minutes.
const (
	limitOfAll = 1200
	limitOfOne = 120
)

// maxAtOnce is how many requests are carried out at a time: each may write to disk.
const maxAtOnce = 16

// A Desk carries out what was asked for by who proved to have the key. Errors that are
// not a [*RefusalError] are the controller's fault, and nobody else is told of them. from
// is the client's address.
type Desk interface {
	Redeem(ctx context.Context, t proto.Token, r proto.EnrollRequest, from string) (proto.EnrollReply, error)
	Renew(ctx context.Context, r proto.EnrollRequest, from string) (proto.EnrollReply, error)
}

// A RefusalError is an answer to a client that is not what it asked for.
type RefusalError struct {
	Status int // of HTTP
	Text   string
}

// Error implements error.
func (r *RefusalError) Error() string { return r.Text }

// A Handler answers at [proto.EnrollPath]. Make one with [NewHandler].
type Handler struct {
	desk   Desk
	log    *slog.Logger
	now    func() time.Time
	nonces nonces
	limits *client.Limit
	room   chan struct{}
}

var _ http.Handler = (*Handler)(nil)

// NewHandler returns a handler for desk.
func NewHandler(desk Desk, now func() time.Time, log *slog.Logger) *Handler {
	return &Handler{desk: desk, log: log, now: now, nonces: newNonces(), limits: client.NewLimit(limitOfAll, limitOfOne), room: make(chan struct{}, maxAtOnce)}
}

// ServeHTTP implements http.Handler. There is one path and two methods; anything
// else is not there.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	from := client.Address(r)
	body, err := h.serve(r, from)
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // the client may be gone, and asks again
		return
	}
	refusal, ok := errors.AsType[*RefusalError](err)
	if !ok {
		h.log.ErrorContext(r.Context(), "enrolment failed", "from", from, "err", err)
		refusal = &RefusalError{http.StatusInternalServerError, "the controller could not do it; its log says why"}
	} else {
		h.log.Log(r.Context(), level(refusal), "enrolment refused", "from", from, "status", refusal.Status, "err", refusal.Text)
	}
	if refusal.Status == http.StatusTooManyRequests || refusal.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(client.Window.Seconds())))
	}
	http.Error(w, refusal.Text, refusal.Status)
}

// level is how loud a refusal is: of what is too much the log is not to be full.
func level(r *RefusalError) slog.Level {
	if r.Status == http.StatusTooManyRequests {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// serve returns the answer.
func (h *Handler) serve(r *http.Request, from string) ([]byte, error) {
	switch {
	case !h.limits.Allow(from, h.now()):
		return nil, &RefusalError{http.StatusTooManyRequests, "too many requests from here; try again in a minute"}
	case r.URL.Path != proto.EnrollPath || r.URL.RawQuery != "":
		return nil, &RefusalError{http.StatusNotFound, "there is nothing here"}
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		return nil, &RefusalError{http.StatusMethodNotAllowed, "GET a challenge, or POST a request"}
	case r.Method == http.MethodGet:
		return proto.EnrollChallenge{Nonce: h.nonces.make(h.now())}.Encode()
	}
	request, err := read(r)
	if err != nil {
		return nil, err
	}
	if err := h.proven(request); err != nil {
		return nil, err
	}
	// Only now: whoever sends slowly, or has no key, takes no room from others.
	select {
	case h.room <- struct{}{}:
		defer func() { <-h.room }()
	default:
		return nil, &RefusalError{http.StatusServiceUnavailable, "too many requests at once; try again in a minute"}
	}
	// Whoever hangs up does not keep it out of the audit.
	reply, err := h.carryOut(context.WithoutCancel(r.Context()), request, from)
	if err != nil {
		return nil, err
	}
	return reply.Encode()
}

// read reads a request.
func read(r *http.Request) (proto.EnrollRequest, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return proto.EnrollRequest{}, &RefusalError{http.StatusUnsupportedMediaType, "the request must be application/json"}
	}
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, proto.MaxEnroll))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return proto.EnrollRequest{}, &RefusalError{http.StatusRequestEntityTooLarge, "the request is too large"}
		}
		return proto.EnrollRequest{}, &RefusalError{http.StatusBadRequest, "the request did not arrive whole"}
	}
	request, err := proto.ParseEnrollRequest(b)
	if err != nil {
		return proto.EnrollRequest{}, &RefusalError{http.StatusBadRequest, "not a request that this version understands"}
	}
	return request, nil
}

// proven returns nil if who asks has the key, now.
func (h *Handler) proven(r proto.EnrollRequest) error {
	if !h.nonces.valid(r.Nonce, h.now()) {
		return &RefusalError{http.StatusUnauthorized, "the challenge is not ours, or too old; ask for another one"}
	}
	if !nkeys.IsValidPublicUserKey(r.PublicKey) {
		return &RefusalError{http.StatusBadRequest, "public_key: must be the public key of a NATS user"}
	}
	key, err := nkeys.FromPublicKey(r.PublicKey)
	if err != nil || key.Verify(r.Statement(), r.Signature) != nil {
		return &RefusalError{http.StatusUnauthorized, "the signature is not by that key"}
	}
	return nil
}

func (h *Handler) carryOut(ctx context.Context, r proto.EnrollRequest, from string) (proto.EnrollReply, error) {
	if r.Token == "" {
		return h.desk.Renew(ctx, r, from)
	}
	t, err := proto.ParseToken(r.Token)
	if err != nil || t.Host() != r.Host {
		return proto.EnrollReply{}, &RefusalError{http.StatusForbidden, ErrToken.Error()}
	}
	return h.desk.Redeem(ctx, t, r, from)
}
