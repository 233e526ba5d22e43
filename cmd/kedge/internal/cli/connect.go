package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

const (
	buildHostCredentials = "/var/lib/kedge-controller/admin.creds"
	callTimeout          = 10 * time.Second
	publishTimeout       = 10 * time.Minute // the controller copies closures meanwhile
	waitTimeout          = 30 * time.Minute
)

// retryDelay is how long to wait after a call of a long wait was not answered:
// a controller that restarts is back within a few of these.
const retryDelay = 500 * time.Millisecond

// withController runs do with a connection to the controller. With bounded, do's
// context ends after --timeout or limit.
func (k *kedge) withController(ctx context.Context, limit time.Duration, bounded bool, do func(context.Context, *bus.Conn) error) error {
	if k.timeout < 0 {
		return usage.Errorf("--timeout: must not be negative, got %s", k.timeout)
	}
	if k.timeout > 0 {
		limit = k.timeout
	}
	credentials, err := k.credentialsFile()
	if err != nil {
		return err
	}
	servers, out, err := k.way(credentials)
	if err != nil {
		return err
	}
	where := strings.Join(servers, ", ")
	conn, err := bus.Connect(ctx, bus.Options{
		Servers:     servers,
		Outbound:    out,
		Name:        "kedge",
		Credentials: credentials,
		Backoff:     bus.Backoff{Base: 100 * time.Millisecond, Cap: time.Second},
		Timeout:     min(limit, callTimeout) / time.Duration(len(servers)), // one that says nothing leaves time for the others
		Log:         slog.New(slog.DiscardHandler),                         // its news reach the user as errors
	})
	if err != nil {
		return fmt.Errorf("connect to %s: %w", where, err)
	}
	defer conn.Close()

	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	connecting, stop := context.WithTimeout(within, callTimeout)
	defer stop()
	if err := conn.AwaitConnected(connecting); err != nil {
		return fmt.Errorf("connect to %s with %s: %w", where, credentials, err)
	}
	if !bounded {
		return do(ctx, conn)
	}
	return do(within, conn)
}

// credentialsFile returns the credentials to use: those named, else the first
// of the usual ones that can be read.
func (k *kedge) credentialsFile() (string, error) {
	for _, s := range []string{k.credentials, k.Getenv("KEDGE_CREDS")} {
		if s != "" {
			return s, nil
		}
	}
	usual := []string{buildHostCredentials}
	if dir := k.Getenv("XDG_CONFIG_HOME"); dir != "" {
		usual = append(usual, filepath.Join(dir, "kedge", "creds"))
	} else if home := k.Getenv("HOME"); home != "" {
		usual = append(usual, filepath.Join(home, ".config", "kedge", "creds"))
	}
	for _, path := range usual {
		f, err := os.Open(path)
		if err == nil {
			return path, f.Close()
		}
	}
	return "", fmt.Errorf("no credentials: none of %v can be read; name a file with --creds or KEDGE_CREDS", usual)
}

// NATS that is told who is revoked has no controller for some milliseconds, and a
// controller that is started anew is away for less than absentFor. What reached
// nobody, and what nobody began to do, may be asked again, whatever it asks for.
const (
	absentFor   = 3 * time.Second
	absentPause = 50 * time.Millisecond
)

// reach calls until somebody is there who begins with it, for a moment at most.
func reach(ctx context.Context, call func() error) error {
	moment, cancel := context.WithTimeout(ctx, absentFor)
	defer cancel()
	for {
		err := call()
		said, _ := errors.AsType[*bus.APIError](err)
		switch {
		case errors.Is(err, bus.ErrNoResponders) && wait(moment, absentPause):
		case said != nil && said.Unbegun && wait(moment, retryDelay): // it may have too much to do
		default:
			return err
		}
	}
}

// passing reports whether the same question may be answered later: nobody answered it, or
// the controller says that it cannot now. What was asked for may be done all the same.
func passing(err error) bool {
	said, ok := errors.AsType[*bus.APIError](err)
	return bus.Transient(err) || ok && said.Code == bus.CodeUnavailable
}

// inDoubt reports whether a call that failed may have been done all the same: nobody heard
// what came of it, or something went wrong halfway.
func inDoubt(err error) bool {
	if said, ok := errors.AsType[*bus.APIError](err); ok {
		return !said.Unbegun && (said.Code == bus.CodeUnavailable || said.Code == bus.CodeInternal)
	}
	return errors.Is(err, bus.ErrTimeout) || errors.Is(err, bus.ErrNotConnected) || errors.Is(err, context.Canceled)
}

// call makes one call. Refusals by the controller are a [*bus.APIError], and read as what
// it said.
func call[Req, Rep any](ctx context.Context, conn *bus.Conn, e proto.Endpoint, req Req) (Rep, error) {
	var rep Rep
	err := reach(ctx, func() (err error) {
		rep, err = bus.Call[Req, Rep](ctx, conn, e, req)
		return err
	})
	said, refused := errors.AsType[*bus.APIError](err)
	switch {
	case err == nil:
		return rep, nil
	case refused:
		return rep, said
	case errors.Is(err, bus.ErrDenied):
		return rep, fmt.Errorf("%s: these credentials do not allow it: %w", e.Name(), err)
	case errors.Is(err, bus.ErrNoResponders):
		return rep, fmt.Errorf("%s: no controller is running: %w", e.Name(), err)
	}
	return rep, fmt.Errorf("%s: %w", e.Name(), err)
}

// callFleet asks for the whole fleet.
func callFleet(ctx context.Context, conn *bus.Conn, req proto.FleetRequest) (proto.FleetReply, error) {
	return allPages(req, func(req proto.FleetRequest) (proto.FleetReply, error) {
		return call[proto.FleetRequest, proto.FleetReply](ctx, conn, proto.EndpointFleet, req)
	})
}

// allPages asks until it has every host. The version is that of the first page: what
// has changed since then is news to whoever waits for news.
func allPages(req proto.FleetRequest, ask func(proto.FleetRequest) (proto.FleetReply, error)) (proto.FleetReply, error) {
	all, err := ask(req)
	for err == nil && !all.Continue.IsZero() {
		var page proto.FleetReply
		page, err = ask(proto.FleetRequest{Continue: all.Continue, Limit: req.Limit})
		all.Hosts, all.Continue = append(all.Hosts, page.Hosts...), page.Continue
	}
	return all, err
}

// pause waits for retryDelay, or less if ctx ends.
func pause(ctx context.Context) { wait(ctx, retryDelay) }

// wait waits for d, and reports whether ctx has not ended by then.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
