package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
)

// askInterval is between two questions to a service that is being restarted.
const askInterval = 2 * time.Millisecond

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
// was. The host has no work with it: a connection on which nothing is asked ends
// with the process behind it, and only then is the host asked again.
func awaitAnswer(ctx context.Context, h *fleet.Host, text string) (time.Time, error) {
	again := time.NewTicker(askInterval)
	defer again.Stop()
	for {
		err := askOrWait(ctx, h, text)
		if err == nil {
			return time.Now(), nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%s: wait for the service to answer %q: %w, last: %w", h.Name(), text, context.Cause(ctx), err)
		}
	}
}

// askOrWait returns nil if the service answers text. If it answers another text,
// it returns an error when the process that did so has ended.
func askOrWait(ctx context.Context, h *fleet.Host, text string) error {
	// The connection is older than the answer, so it is to the process that answers, or to one before.
	held, err := h.DialContext(ctx, "tcp", appAddress)
	if err != nil {
		return err
	}
	defer held.Close() // nothing was written to it
	answer, err := ask(ctx, h)
	if err != nil || answer == text {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = held.SetDeadline(time.Unix(1, 0)) }) // it is open until stop
	defer stop()
	_, _ = held.Read(make([]byte, 1)) // its end is what is waited for
	return fmt.Errorf("it answers %q", answer)
}

// ask returns what the host's service answers.
func ask(ctx context.Context, h *fleet.Host) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+appAddress+"/", nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DialContext: h.DialContext, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() // only read
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), err
}
