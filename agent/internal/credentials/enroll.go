package credentials

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"kedge/proto"
	"kedge/proto/bus"
	"kedge/proto/outbound"
)

// A RefusedError is what a controller says over HTTP that will not enrol a host.
type RefusedError struct {
	Status int
	Text   string
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the controller refuses (%d): %s", e.Status, e.Text)
}

// ErrOtherKey says that a token is good, but not for the applicant's key.
var ErrOtherKey = errors.New("another key is needed")

// An Applicant is a host that asks for credentials over HTTP.
type Applicant struct {
	Client   *http.Client
	URL      string // of the enrolment
	Host     proto.HostName
	Identity bus.Identity
	Instance string // as in [proto.RenewRequest]
}

// Apply returns credentials for the applicant's key: with a token those of a new
// host, without one those that follow on what it had. What it returns is for that key
// and that host. Applying again is harmless. The error wraps a [*RefusedError] if the
// controller said no, and [ErrOtherKey] if it said that of the key alone.
func (a Applicant) Apply(ctx context.Context, token proto.Token) (proto.EnrollReply, error) {
	b, err := a.exchange(ctx, http.MethodGet, nil)
	if err != nil {
		return proto.EnrollReply{}, err
	}
	challenge, err := proto.ParseEnrollChallenge(b)
	if err != nil {
		return proto.EnrollReply{}, fmt.Errorf("%s: %w", a.URL, err)
	}
	r := proto.EnrollRequest{Nonce: challenge.Nonce, Host: a.Host, PublicKey: a.Identity.PublicKey, Instance: a.Instance}
	if !token.IsZero() {
		r.Token = token.Reveal()
	}
	if r.Signature, err = a.Identity.Sign(r.Statement()); err != nil {
		return proto.EnrollReply{}, err
	}
	body, err := r.Encode()
	if err != nil {
		return proto.EnrollReply{}, err
	}
	b, err = a.exchange(ctx, http.MethodPost, body)
	if said, ok := errors.AsType[*RefusedError](err); ok && said.Status == proto.EnrollOtherKey {
		return proto.EnrollReply{}, fmt.Errorf("%w: %w", ErrOtherKey, err)
	}
	if err != nil {
		return proto.EnrollReply{}, err
	}
	reply, err := proto.ParseEnrollReply(b)
	if err != nil {
		return proto.EnrollReply{}, fmt.Errorf("%s: %w", a.URL, err)
	}
	return reply, a.check(reply)
}

// check returns why r is not what was asked for.
func (a Applicant) check(r proto.EnrollReply) error {
	t, err := bus.ParseToken(r.JWT)
	if err != nil {
		return fmt.Errorf("%s: credentials: %w", a.URL, err)
	}
	if t.PublicKey != a.Identity.PublicKey || t.Name != a.Host.String() {
		return fmt.Errorf("%s: the credentials are for %q with the key %s", a.URL, t.Name, t.PublicKey)
	}
	return nil
}

// exchange makes one request, and returns the answer.
func (a Applicant) exchange(ctx context.Context, method string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // it was read as far as it is of use
	b, err := io.ReadAll(io.LimitReader(res.Body, proto.MaxEnroll+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("enrol: read the answer: %w", err)
	case res.StatusCode != http.StatusOK:
		return nil, &RefusedError{Status: res.StatusCode, Text: strings.ToValidUTF8(strings.TrimSpace(string(b[:min(len(b), 512)])), "")}
	}
	return b, nil
}

// errRedirected says that an enrolment is answered where it was asked for.
var errRedirected = errors.New("redirected: name the URL of the controller itself")

// NewClient returns a client for an [Applicant]. It follows no redirect: what is
// secret goes nowhere else.
func NewClient(o outbound.Options) (*http.Client, error) {
	t, err := o.Transport()
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: t, CheckRedirect: noRedirects}, nil
}

func noRedirects(*http.Request, []*http.Request) error { return errRedirected }
