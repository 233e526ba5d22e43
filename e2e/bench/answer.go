package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sync/errgroup"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
)

const (
	askTimeout = 5 * time.Second
	// startedDir is where a host's service writes when it has started.
	startedDir = "/var/lib/app"
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
// was. It is asked from a thread on the host's network, once when the waiting begins and
// then whenever it says that it has started: to ask while it is restarted would cost more
// than what is measured may.
func awaitAnswer(ctx context.Context, h *fleet.Host, text string) (at time.Time, err error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: watch for starts of the service: %w", h.Name(), err)
	}
	defer func() { _ = w.Close() }() // nothing was written through it
	if err := w.Add(filepath.Join(h.Root(), startedDir)); err != nil {
		return time.Time{}, fmt.Errorf("%s: watch for starts of the service: %w", h.Name(), err)
	}
	err = h.Inside(func() error {
		for {
			answer, err := ask(ctx)
			if err == nil && answer == text {
				at = time.Now()
				return nil
			}
			select {
			case <-w.Events:
			case <-ctx.Done():
				return errors.Join(fmt.Errorf("%s: wait for the service to answer %q: %w; last it answered %q", h.Name(), text, context.Cause(ctx), answer), err)
			}
		}
	})
	return at, err
}

// ask returns what the service answers on the network of this thread.
func ask(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+appAddress+"/", nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", appAddress)
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
