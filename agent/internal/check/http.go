package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"kedge/agent/internal/deployment"
)

const (
	// bodyLimit is how much of a body is searched.
	bodyLimit = 64 << 10
	// maxRedirects is how many of them are followed.
	maxRedirects = 10
	// shownBody is how many bytes of a body that does not match are told.
	shownBody = 100
)

// tryHTTP makes one request on a connection of its own: one that was kept says
// nothing of who listens now.
func tryHTTP(ctx context.Context, c deployment.HTTPCheck) error {
	body, err := regexp.Compile(c.Body)
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	trust, err := trustOf(c)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, http.NoBody)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	for _, h := range c.Headers {
		if strings.EqualFold(h.Name, "Host") {
			request.Host = h.Value
		} else {
			request.Header.Add(h.Name, h.Value)
		}
	}
	client := http.Client{
		// No Proxy: it is this host's own service that is asked for.
		Transport:     &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true},
		CheckRedirect: redirects(c),
	}
	response, err := client.Do(request)
	if err != nil {
		// The method is always the same.
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return fmt.Errorf("%s: %w", c.URL, err)
	}
	defer func() { _ = response.Body.Close() }() // all that matters was read
	if !accepts(c, response.StatusCode) {
		return fmt.Errorf("%s: status %s", c.URL, response.Status)
	}
	if c.Body == "" {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	if err != nil {
		return fmt.Errorf("%s: read body: %w", c.URL, err)
	}
	if !body.Match(text) {
		return fmt.Errorf("%s: body does not match %q: %.*q", c.URL, c.Body, shownBody, text)
	}
	return nil
}

func accepts(c deployment.HTTPCheck, status int) bool {
	if len(c.Status) > 0 {
		return slices.Contains(c.Status, status)
	}
	return status >= 200 && status < 400
}

// redirects follows redirects, but for one that is itself what is expected.
func redirects(c deployment.HTTPCheck) func(next *http.Request, via []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		switch {
		case slices.Contains(c.Status, next.Response.StatusCode):
			return http.ErrUseLastResponse
		case len(via) > maxRedirects:
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return nil
	}
}

// trustOf returns which certificates c trusts; nil for the system's authorities.
func trustOf(c deployment.HTTPCheck) (*tls.Config, error) {
	switch {
	case c.Insecure:
		return &tls.Config{InsecureSkipVerify: true}, nil
	case c.CAFile == "":
		return nil, nil
	}
	certificates, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certificates) {
		return nil, fmt.Errorf("ca_file: %s has no certificate", c.CAFile)
	}
	return &tls.Config{RootCAs: pool}, nil
}
