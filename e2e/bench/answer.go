package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
)

// askInterval is between two questions to a service that is being restarted, and
// askTimeout bounds one.
const (
	askInterval = 4 * time.Millisecond
	askTimeout  = 5 * time.Second
)

// appAddress is where a host's service listens.
var appAddress = fmt.Sprintf("127.0.0.1:%d", toplevel.DefaultAppPort) //nolint:gochecknoglobals // a constant that needs a call

// answers waits for each host of the change to answer its text, and returns when
// they did, in the order of the hosts.
func (c change) answers(ctx context.Context) ([]time.Time, error) {
	at := make([]time.Time, len(c.hosts))
	g, ctx := errgroup.WithContext(ctx)
	for i, h := range c.hosts {
		g.Go(func() (err error) {
			at[i], err = awaitAnswer(ctx, h, c.text)
			return err
		})
	}
	return at, g.Wait()
}

// awaitAnswer waits until the host's service answers text, and returns when that
// was. It is asked from a thread on the host's network, and the host has no work with
// it: a connection on which nothing is asked ends with the process behind it, and only
// then is the host asked again.
func awaitAnswer(ctx context.Context, h *fleet.Host, text string) (at time.Time, err error) {
	err = h.Inside(func() error {
		again := time.NewTicker(askInterval)
		defer again.Stop()
		for {
			err := askOrWait(ctx, text)
			if err == nil {
				at = time.Now()
				return nil
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return fmt.Errorf("%s: wait for the service to answer %q: %w, last: %w", h.Name(), text, context.Cause(ctx), err)
			}
		}
	})
	return at, err
}

// askOrWait returns nil if the service answers text. If it answers another text,
// it returns an error when the process that did so has ended.
func askOrWait(ctx context.Context, text string) error {
	// The connection is older than the answer, so it is to the process that answers, or to one before.
	held, err := dial(ctx)
	if err != nil {
		return err
	}
	defer held.Close() // nothing was written to it
	answer, err := ask(ctx)
	if err != nil || answer == text {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = held.SetDeadline(time.Unix(1, 0)) }) // it is open until stop
	defer stop()
	_, _ = held.Read(make([]byte, 1)) // its end is what is waited for
	return fmt.Errorf("it answers %q", answer)
}

// ask returns what the service answers on the network of this thread.
func ask(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+appAddress+"/", nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	conn, err := dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close() // only read by then
	if err := errors.Join(conn.SetDeadline(time.Now().Add(askTimeout)), request.Write(conn)); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() // only read
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), err
}

// dial connects to the service on the network of this thread.
func dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", appAddress)
}
