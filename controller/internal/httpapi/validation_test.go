package httpapi_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	problems "github.com/pb33f/libopenapi-validator/errors"

	"kedge/docs/api"
)

// validation holds requests and answers against the description.
type validation struct{ validator.Validator }

func newValidator(t *testing.T) validation {
	t.Helper()
	doc, err := libopenapi.NewDocument(api.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	for _, err := range errs {
		t.Fatal(err)
	}
	if ok, errs := v.ValidateDocument(); !ok {
		for _, err := range errs {
			t.Error(err)
		}
	}
	return validation{v}
}

func (v validation) request(t *testing.T, r *http.Request) {
	t.Helper()
	if ok, errs := v.ValidateHttpRequest(r); !ok {
		for _, err := range errs {
			t.Errorf("request: %v: %s", err, details(err.SchemaValidationErrors))
		}
	}
}

func (v validation) response(t *testing.T, r *http.Request, w *http.Response) {
	t.Helper()
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	w.Body = io.NopCloser(bytes.NewReader(body))
	if ok, errs := v.ValidateHttpResponse(r, w); !ok {
		for _, err := range errs {
			t.Errorf("response: %v: %s: %s", err, details(err.SchemaValidationErrors), body)
		}
	}
}

func details(errs []*problems.SchemaValidationFailure) string {
	var texts []string
	for _, e := range errs {
		texts = append(texts, e.FieldPath+": "+e.Reason)
	}
	return strings.Join(texts, "; ")
}
