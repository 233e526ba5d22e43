package httpapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"

	"kedge/proto"
	"kedge/proto/bus"
)

// read reads the request of a call.
func read(w http.ResponseWriter, r *http.Request, e proto.Endpoint) (input, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return input{}, bus.Errorf(bus.CodeBadRequest, "query: %v", err)
	}
	if e.Reads() {
		return input{query: query}, nil
	}
	if len(query) > 0 {
		return input{}, bus.Errorf(bus.CodeBadRequest, "query: %s takes none; the request is the body", e.Name())
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return input{}, bus.Errorf(codeMediaType, "the request must be application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bus.MaxRequest))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return input{}, bus.Errorf(codeTooLarge, "request: at most %d bytes are read", bus.MaxRequest)
		}
		return input{}, bus.Errorf(bus.CodeBadRequest, "request: it did not arrive whole")
	}
	return input{body: body}, nil
}
