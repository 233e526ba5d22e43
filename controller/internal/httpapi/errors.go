package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"

	"kedge/controller/internal/client"
	"kedge/proto/bus"
)

// The codes of what is refused before it is a call; the others are those of package bus.
const (
	codeUnauthorized bus.Code = "unauthorized"       // no token that counts
	codeForbidden    bus.Code = "forbidden"          // the token's role is too low
	codeMethod       bus.Code = "method-not-allowed" // as the header Allow says
	codeMediaType    bus.Code = "unsupported-media-type"
	codeTooLarge     bus.Code = "too-large"
	codeTooMany      bus.Code = "too-many-requests" // try again, as the header Retry-After says
)

// RefusalCodes returns the codes with which somebody is refused before any call.
func RefusalCodes() []bus.Code { return []bus.Code{codeUnauthorized, codeForbidden, codeTooMany} }

// status returns the status of HTTP for a code.
func status(c bus.Code) int {
	switch c {
	case bus.CodeBadRequest:
		return http.StatusBadRequest
	case codeUnauthorized:
		return http.StatusUnauthorized
	case codeForbidden:
		return http.StatusForbidden
	case bus.CodeNotFound:
		return http.StatusNotFound
	case codeMethod:
		return http.StatusMethodNotAllowed
	case bus.CodeConflict:
		return http.StatusConflict
	case codeTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeMediaType:
		return http.StatusUnsupportedMediaType
	case bus.CodeRefused:
		return http.StatusUnprocessableEntity
	case codeTooMany:
		return http.StatusTooManyRequests
	case bus.CodeUnavailable:
		return http.StatusServiceUnavailable
	case bus.CodeInternal:
	}
	return http.StatusInternalServerError
}

// An ErrorReply is the answer to a call that did not do what was asked for.
type ErrorReply struct {
	Error Error `json:"error"`
}

// An Error says why.
type Error struct {
	Code    bus.Code `json:"code"`
	Message string   `json:"message"`
}

// retryAfter is how long, in seconds, one waits who is told to come again.
const retryAfter = 5

func writeError(w http.ResponseWriter, e *bus.APIError) {
	if e.Code == codeTooMany {
		w.Header().Set("Retry-After", strconv.Itoa(int(client.Window.Seconds())))
	}
	if e.Code == bus.CodeUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	b, err := encode(ErrorReply{Error: Error{Code: e.Code, Message: e.Message}})
	if err != nil { // cannot be: two strings
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	writeJSON(w, status(e.Code), b)
}

// encode returns v as JSON that ends its line.
func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(b, '\n'), err
}

func writeJSON(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone
}
