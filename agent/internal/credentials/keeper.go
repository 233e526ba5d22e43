// Package credentials keeps what a host connects with valid.
//
// The key is made once and never changes; what says that it is this host's, a user
// JWT, expires. The keeper asks for the next one when half of the time is over, over
// the host's own connection, and again and again until it has it. It tells the
// controller who this is at every connection anyway, so that a second machine with the
// same credentials is noticed.
//
// A host that was off for so long that its credentials have expired asks over HTTP,
// where it proves that it has the key.
//
// The JWT is no secret and lies in the state directory, in a file of its own: the
// credentials file may be one that only a secrets tool writes. [bus.Options] says
// which of the two counts.
package credentials

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"kedge/internal/durable"
	"kedge/proto"
	"kedge/proto/bus"
)

const (
	// renewedFile is in the state directory.
	renewedFile = "renewed.jwt"
	renewedPerm = 0o600

	firstRetry = 30 * time.Second // after a failure; then twice as long, and so on
	lastRetry  = 30 * time.Minute
	longest    = time.Hour // between two looks: the clock may be set
	askTimeout = 20 * time.Second
)

// Renewed returns the path of the file that a renewed JWT is kept in.
func Renewed(stateDir string) string { return filepath.Join(stateDir, renewedFile) }

// A Link says how the connection is. *bus.Conn is one.
type Link interface {
	Watch() (bus.State, <-chan struct{})
}

// Options is what a keeper needs. All are required but the last.
type Options struct {
	Host        proto.HostName
	Credentials string // path of the .creds file
	StateDir    string
	Instance    string // of this machine; empty keeps it to itself
	Barred      State  // why this machine is not the host, whatever a controller says
	Link        Link
	// Ask asks a controller over Link, as [bus.Host.Renew] does.
	Ask func(ctx context.Context, r proto.RenewRequest) (proto.RenewReply, error)
	// Apply asks a controller over HTTP, for when NATS does not take the credentials
	// any more, as [Applicant.Apply] does; nil if there is no such way.
	Apply func(ctx context.Context) (proto.EnrollReply, error)
	Now   func() time.Time
	Log   *slog.Logger
	// Changed is called when State says something else.
	Changed func()
}

// A State is how it stands with the credentials.
type State struct {
	Expires time.Time // zero is never, or not known
	// Reason says why the host may not act with them, or soon not any more; empty
	// if all is well.
	Reason  proto.Reason
	Message string
}

// Imposter reports whether another machine is this host: then this one does not act,
// or speak, as it.
func (s State) Imposter() bool {
	return s.Reason == proto.ReasonSecondMachine || s.Reason == proto.ReasonMachineChanged
}

// Bars reports whether this machine must not act as the host: it is another one, or
// that cannot be known, of which it speaks.
func (s State) Bars() bool {
	return s.Imposter() || s.Reason == proto.ReasonStateUnreadable
}

// A Keeper keeps credentials valid. Make one with [New].
type Keeper struct {
	o     Options
	asked uint64 // connection over which a controller was told who this is

	mu    sync.Mutex
	state State // guarded by mu
}

// New returns a keeper.
func New(o Options) *Keeper { return &Keeper{o: o, state: o.Barred} }

// State returns how it stands.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Keep keeps until ctx ends, and then returns nil.
func (k *Keeper) Keep(ctx context.Context) error {
	for failures := 0; ctx.Err() == nil; {
		link, changed := k.o.Link.Watch()
		next, err := k.look(ctx, link)
		wait := min(next.Sub(k.o.Now()), longest)
		if err != nil && ctx.Err() == nil {
			failures++
			wait = pause(failures)
			k.o.Log.Log(ctx, level(failures), "credentials are not renewed yet", "err", err, "again_in", wait)
		} else {
			failures = 0
		}
		t := time.NewTimer(wait)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
	return nil
}

// look does what is to be done now, and returns when to look again at the latest.
func (k *Keeper) look(ctx context.Context, link bus.State) (time.Time, error) {
	t, err := bus.ReadToken(k.o.Credentials, Renewed(k.o.StateDir))
	if err != nil {
		return time.Time{}, err
	}
	now := k.o.Now()
	k.expire(t, now)
	due := dueAt(t)
	switch {
	case !link.Connected && k.o.Apply != nil && k.out(t, link, now):
		t, err = k.apply(ctx, t)
		return later(dueAt(t), now.Add(firstRetry)), err
	case !link.Connected || link.Connects == k.asked && now.Before(due):
		return later(due, now.Add(firstRetry)), nil
	}
	renewed, err := k.ask(ctx, t)
	if errors.Is(err, bus.ErrNoController) && now.Before(due) {
		return now.Add(jitter(lastRetry)), nil // a controller need not be there; it is told once it is
	}
	if err != nil {
		return time.Time{}, err
	}
	k.asked = link.Connects
	return later(dueAt(renewed), now.Add(firstRetry)), nil
}

// out reports whether NATS does not take t any more, as far as can be known.
func (k *Keeper) out(t bus.Token, link bus.State, now time.Time) bool {
	return !t.Expires.IsZero() && !now.Before(t.Expires) || errors.Is(link.Err, bus.ErrNotAuthorized)
}

// apply asks for the credentials that follow on t over HTTP, and keeps them.
func (k *Keeper) apply(ctx context.Context, t bus.Token) (bus.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := k.o.Apply(ctx)
	if said, ok := errors.AsType[*RefusedError](err); ok && said.Status == http.StatusForbidden {
		k.refused(bus.Errorf(bus.CodeRefused, "%s", said.Text))
	}
	if said, ok := errors.AsType[*RefusedError](err); ok && said.Status == http.StatusConflict {
		k.refused(bus.Errorf(bus.CodeConflict, "%s", said.Text))
	}
	if err != nil {
		return t, err
	}
	return k.keep(ctx, t, r.JWT)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// dueAt returns when half of the time is over for which t is valid.
func dueAt(t bus.Token) time.Time {
	if t.Expires.IsZero() {
		return t.Issued.AddDate(100, 0, 0)
	}
	return t.Issued.Add(t.Expires.Sub(t.Issued) / 2)
}

// ask tells a controller who this is, and keeps the JWT that it answers with. It
// returns the one that counts then.
func (k *Keeper) ask(ctx context.Context, t bus.Token) (bus.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := k.o.Ask(ctx, proto.RenewRequest{PublicKey: t.PublicKey, Expires: t.Expires, Instance: k.o.Instance})
	if said, ok := errors.AsType[*bus.APIError](err); ok {
		k.refused(said)
		return t, err
	}
	if errors.Is(err, bus.ErrDenied) && t.Name != k.o.Host.String() {
		return t, k.others(t, err)
	}
	if err != nil {
		return t, err
	}
	if r.JWT != "" {
		return k.keep(ctx, t, r.JWT)
	}
	k.set(State{Expires: t.Expires})
	return t, nil
}

// keep keeps a JWT durably that a controller made in the place of t.
func (k *Keeper) keep(ctx context.Context, t bus.Token, jwt string) (bus.Token, error) {
	renewed, err := bus.ParseToken(jwt)
	if err != nil {
		return t, fmt.Errorf("renewed credentials: %w", err)
	}
	if renewed.PublicKey != t.PublicKey || renewed.Name != k.o.Host.String() {
		return t, fmt.Errorf("renewed credentials are for %q with the key %s", renewed.Name, renewed.PublicKey)
	}
	if err := durable.WriteFile(Renewed(k.o.StateDir), []byte(jwt+"\n"), renewedPerm); err != nil {
		return t, fmt.Errorf("keep renewed credentials: %w", err)
	}
	k.set(State{Expires: renewed.Expires})
	k.o.Log.InfoContext(ctx, "credentials renewed", "expires", renewed.Expires)
	return renewed, nil
}

// refused notes that a controller would not have this host.
func (k *Keeper) refused(said *bus.APIError) {
	s := k.State()
	switch said.Code { //nolint:exhaustive // the others say nothing of this host
	case bus.CodeRefused:
		s.Reason, s.Message = proto.ReasonRefusedIdentity, said.Message
	case bus.CodeConflict:
		s.Reason, s.Message = proto.ReasonSecondMachine, said.Message
	}
	k.set(s)
}

// others notes that t is of another host, and returns why this one was denied. That
// another name is in it says nothing by itself: it is a label where accounts are not of
// Kedge's making, and with those that are the server denies all that is not of that name.
func (k *Keeper) others(t bus.Token, denied error) error {
	s := k.State()
	s.Reason, s.Message = proto.ReasonRefusedIdentity, fmt.Sprintf("these are the credentials of %s; host is %s", t.Name, k.o.Host)
	k.set(s)
	return fmt.Errorf("%s: %w", s.Message, denied)
}

// expire notes when t expires, and that it has.
func (k *Keeper) expire(t bus.Token, now time.Time) {
	s := k.State()
	s.Expires = t.Expires
	switch expired := !t.Expires.IsZero() && !now.Before(t.Expires); {
	case expired && s.Reason == "":
		s.Reason = proto.ReasonExpiredIdentity
		s.Message = "they expired " + t.Expires.Format(time.RFC3339) + " and could not be renewed"
	case !expired && s.Reason == proto.ReasonExpiredIdentity:
		s.Reason, s.Message = "", ""
	}
	k.set(s)
}

func (k *Keeper) set(s State) {
	if k.o.Barred.Reason != "" {
		s.Reason, s.Message = k.o.Barred.Reason, k.o.Barred.Message
	}
	k.mu.Lock()
	same := k.state == s
	k.state = s
	k.mu.Unlock()
	if !same {
		k.o.Changed()
	}
}

// pause returns how long to wait after so many failures in a row.
func pause(failures int) time.Duration {
	d := firstRetry
	for range failures - 1 {
		d = min(2*d, lastRetry)
	}
	return jitter(d)
}

// jitter returns d, give or take 20 per cent at random.
func jitter(d time.Duration) time.Duration {
	return d*8/10 + rand.N(d*4/10) //nolint:gosec // spreads load; nothing secret
}

// level is how loud the n-th failure in a row is.
func level(n int) slog.Level {
	if n == 1 {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}
