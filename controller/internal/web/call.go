package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"kedge/proto"
	"kedge/proto/bus"
)

// A caller calls the API as the bearer of a token, within this process.
type caller struct{ api http.Handler }

// A refusedError is the API's answer to a call that it did not answer as asked.
type refusedError struct {
	*bus.APIError
	status int // of HTTP
}

// Unwrap returns what the API said.
func (e *refusedError) Unwrap() error { return e.APIError }

// call returns the answer to a call that reads, made for the visitor of r. The query is
// names and values in turn; empty values are left out.
func call[Rep any](c caller, r *http.Request, t proto.OperatorToken, e proto.Endpoint, query ...string) (Rep, error) {
	var reply Rep
	values := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		if query[i+1] != "" {
			values.Set(query[i], query[i+1])
		}
	}
	inner, err := http.NewRequestWithContext(r.Context(), http.MethodGet, proto.APIPath+e.Name()+"?"+values.Encode(), http.NoBody)
	if err != nil {
		return reply, err
	}
	inner.RemoteAddr = r.RemoteAddr // for its limits and its log
	inner.Header.Set("Authorization", "Bearer "+t.Reveal())
	answer := recorder{header: http.Header{}, status: http.StatusOK}
	c.api.ServeHTTP(&answer, inner)
	if answer.status == http.StatusOK {
		return reply, decode(answer, &reply)
	}
	var refusal struct {
		Error bus.APIError `json:"error"`
	}
	if err := decode(answer, &refusal); err != nil {
		return reply, err
	}
	return reply, &refusedError{APIError: &refusal.Error, status: answer.status}
}

func decode(a recorder, v any) error {
	if err := json.Unmarshal(a.body.Bytes(), v); err != nil {
		return fmt.Errorf("decode the answer of the API: %w", err)
	}
	return nil
}

// A recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *recorder) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *recorder) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *recorder) Write(b []byte) (int, error) { return a.body.Write(b) }
