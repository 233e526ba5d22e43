package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"kedge/proto"
)

// flushTimeout is how long a connected server may take to answer a ping.
const flushTimeout = 10 * time.Second

// maxCalls is how many calls that need the same role are carried out at once;
// more are refused. Viewers may wait for news in all of theirs, and leave those
// of operators and admins free.
const maxCalls = 256

// ServiceOptions are what a [Service] is made of. All are required but the last three.
type ServiceOptions struct {
	Conn    *Conn
	Version string // semantic version of the controller
	Log     *slog.Logger
	// Serving is called, from the goroutine of [Service.Run], when calls are
	// answered from now on: once for every connection that was built.
	Serving func()
	// Queue is as that of a [Fleet].
	Queue string
	// Locate returns the address of the client that the server knows by an id, if it
	// is another one than the server sees; else it is empty.
	Locate func(id uint64) string
	// Signer returns the operator with a public key, or why that does not count. If it is
	// not nil then calls have to be signed, and the server's word is not enough.
	Signer func(publicKey string) (proto.Operator, error)
}

// A Service answers the calls of the operator API.
type Service struct {
	options   ServiceOptions
	endpoints []endpoint
	rooms     map[proto.Role]chan struct{} // one element per call under way

	gate *gatekeeper // nil where the server is believed; set by Run

	mu      sync.Mutex     // no call begins while Run ends
	stopped bool           // no call begins any more
	calls   sync.WaitGroup // calls under way
}

// An endpoint answers one call.
type endpoint struct {
	name   proto.Endpoint
	answer func(ctx context.Context, caller Caller, body []byte) (any, error)
}

// NewService returns a service that answers nothing yet; see [Handle].
func NewService(o ServiceOptions) *Service {
	return &Service{options: o, rooms: make(map[proto.Role]chan struct{})}
}

// Handle makes s answer the calls to e with h. It must not be called once s
// runs. Several calls run at the same time. An error of h that is no [*APIError]
// is logged, and reported with its text as [CodeInternal].
func Handle[Req, Rep any](s *Service, e proto.Endpoint, h func(context.Context, Caller, Req) (Rep, error)) {
	if s.rooms[e.Role()] == nil {
		s.rooms[e.Role()] = make(chan struct{}, maxCalls)
	}
	s.endpoints = append(s.endpoints, endpoint{name: e, answer: func(ctx context.Context, caller Caller, body []byte) (any, error) {
		var req Req
		if err := DecodeRequest(body, &req); err != nil {
			return nil, err
		}
		return h(ctx, caller, req)
	}})
}

// Endpoints returns the calls that s answers.
func (s *Service) Endpoints() []proto.Endpoint {
	var names []proto.Endpoint
	for _, e := range s.endpoints {
		names = append(names, e.name)
	}
	return names
}

// Run answers calls until ctx ends, and returns nil when those under way are
// over too; what comes later is refused. It survives reconnections. It may be
// called once.
func (s *Service) Run(ctx context.Context) error {
	defer s.finish()
	if s.options.Signer != nil {
		s.gate = &gatekeeper{signer: s.options.Signer, now: time.Now, began: time.Now(), seen: map[string]map[string]time.Time{}}
	}
	return s.options.Conn.lives(ctx, func(life context.Context, nc *nats.Conn) error {
		return s.serve(ctx, life, nc)
	})
}

// finish lets no call begin any more, and waits for those under way.
func (s *Service) finish() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.calls.Wait()
}

// serve answers calls that come over nc until life ends. What calls do may
// outlast nc, but not ctx.
func (s *Service) serve(ctx, life context.Context, nc *nats.Conn) error {
	service, err := micro.AddService(nc, micro.Config{
		Name:        proto.ServiceName,
		Version:     s.options.Version,
		QueueGroup:  s.options.Queue,
		Description: "Operator API of the kedge controller",
	})
	if err != nil {
		return translate(err)
	}
	// What was sent to us already still comes. It fails only if the connection
	// is closed.
	defer func() { _ = service.Stop() }()
	for _, e := range s.endpoints {
		handler := micro.HandlerFunc(func(r micro.Request) {
			caller, err := s.callerOf(e.name, r)
			s.accept(ctx, request{endpoint: e, caller: caller, refusal: err, body: r.Data(), reply: r.Reply(), nats: nc})
		})
		if err := service.AddEndpoint(e.name.Name(), handler, micro.WithEndpointSubject(e.name.Subject())); err != nil {
			return fmt.Errorf("endpoint %s: %w", e.name, translate(err))
		}
	}
	if err := flush(life, nc); err != nil && life.Err() == nil {
		s.options.Log.DebugContext(ctx, "operator API may not be known to the server yet", "err", err)
	}
	if s.options.Serving != nil {
		s.options.Serving()
	}
	<-life.Done()
	return nil
}

// flush returns when the server has dealt with everything that was sent to it.
func flush(ctx context.Context, nc *nats.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return translate(nc.FlushWithContext(ctx))
}

// callerOf returns who makes the call r to e. What the server says of that counts where
// it is believed; else where from is all that it is asked.
func (s *Service) callerOf(e proto.Endpoint, r micro.Request) (Caller, error) {
	said := callerOf(r, s.options.Locate)
	if s.gate == nil {
		return said, nil
	}
	op, err := s.gate.admit(e, r.Headers().Get, r.Data())
	return Caller{Name: op.Name, PublicKey: op.PublicKey, Address: said.Address}, err
}

// A request is one call. Its answer does not go through micro.Request, which is
// not to be used after its handler returned.
type request struct {
	endpoint
	caller  Caller
	refusal error // of whoever calls; nil if there is none
	body    []byte
	reply   string
	nats    *nats.Conn
}

// accept starts to answer r, without keeping the next calls waiting.
func (s *Service) accept(ctx context.Context, r request) {
	if r.refusal != nil {
		s.options.Log.WarnContext(ctx, "call refused", "endpoint", string(r.name), "from", r.caller.Address, "err", r.refusal)
		s.fail(ctx, r, r.refusal)
		return
	}
	err := s.begin(s.rooms[r.name.Role()], func() {
		var left []func()
		rep, err := r.answer(context.WithValue(WithCaller(ctx, r.caller), laterKey{}, &left), r.caller, r.body)
		if err != nil {
			s.fail(ctx, r, err)
		} else {
			s.respond(ctx, r, rep)
		}
		if len(left) > 0 {
			_ = flush(ctx, r.nats) // it fails if nobody can be answered
		}
		for _, do := range left {
			do()
		}
	})
	if err != nil {
		s.fail(ctx, r, err)
	}
}

// begin runs call in a goroutine of its own, or says why not.
func (s *Service) begin(room chan struct{}, call func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return unbegun("the controller stops")
	}
	select {
	case room <- struct{}{}:
	default:
		return unbegun("%d calls are under way", maxCalls)
	}
	s.calls.Go(func() {
		defer func() { <-room }()
		call()
	})
	return nil
}

// respond sends rep.
func (s *Service) respond(ctx context.Context, r request, rep any) {
	m := nats.NewMsg(r.reply)
	if err := encodeReply(m, rep); err != nil {
		s.fail(ctx, r, fmt.Errorf("encode answer: %w", err))
		return
	}
	if err := r.nats.PublishMsg(m); err != nil {
		s.fail(ctx, r, fmt.Errorf("send answer of %d bytes: %w", len(m.Data), err))
	}
}

// fail sends err, and logs it if it is not the caller's business. The caller may
// be gone.
func (s *Service) fail(ctx context.Context, r request, err error) {
	var known *APIError
	if !errors.As(err, &known) {
		known = Errorf(CodeInternal, "%v", err)
		s.options.Log.ErrorContext(ctx, "call failed", "endpoint", string(r.name), "err", err)
	}
	if err := r.nats.PublishMsg(known.answer(r.reply)); err != nil {
		s.options.Log.DebugContext(ctx, "caller is gone", "endpoint", string(r.name), "err", err)
	}
}
