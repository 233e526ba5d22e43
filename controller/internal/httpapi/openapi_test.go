package httpapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/httpapi"
	"kedge/docs/api"
	"kedge/proto"
)

var update = flag.Bool("update", false, "write the description of the API anew")

// described is where the description is.
const described = "../../../docs/api/openapi.json"

// object is a JSON object.
type object map[string]any

// TestTheDescriptionIsOfTheseTypes: what is served says what the Go types say.
func TestTheDescriptionIsOfTheseTypes(t *testing.T) {
	want := describe(t, everyCall(t, nil).Routes())
	if *update {
		if err := os.WriteFile(described, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return // it is embedded when this is built the next time
	}
	if d := cmp.Diff(string(want), string(api.OpenAPI())); d != "" {
		t.Errorf("docs/api/openapi.json is another one (go test ./controller/internal/httpapi -update writes it) (-want +got):\n%s", d)
	}
}

// describe returns the description of routes.
func describe(t *testing.T, routes []httpapi.Route) []byte {
	t.Helper()
	s := newSchemas(t)
	paths := object{}
	for _, r := range routes {
		paths[r.Path] = object{strings.ToLower(r.Method): s.operation(r)}
	}
	failure := s.of(reflect.TypeFor[httpapi.ErrorReply]())
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(object{
		"openapi": "3.1.0",
		"info": object{
			"title":   "Kedge",
			"version": "1",
			"description": "The operator API of the kedge controller over HTTP; see docs/api.md. A field that is not described here is refused in a request. " +
				"Answers may get further fields: ignore those that you do not know.",
		},
		"servers":  []object{{"url": "/", "description": "the controller's one port"}},
		"security": []object{{"token": []string{}}},
		"paths":    paths,
		"components": object{
			"securitySchemes": object{"token": object{
				"type": "http", "scheme": "bearer", "description": "The token of an operator; kedge operator token makes one.",
			}},
			"responses": object{"Failure": object{
				"description": "It was not done, and why.",
				"content":     object{"application/json": object{"schema": failure}},
			}},
			"schemas": s.named,
		},
	}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// operation describes one call.
func (s *schemas) operation(r httpapi.Route) object {
	name := r.Endpoint.Name()
	o := object{
		"operationId": name,
		"summary":     firstSentence(s.docs[r.Request.Name()]),
		"description": s.docs[r.Request.Name()] + "\n\nNeeds the role " + string(r.Endpoint.Role()) + ".",
		"tags":        []string{string(r.Endpoint.Role())},
		"responses":   object{"200": response("Done, or found.", s.of(r.Reply))},
	}
	responses := o["responses"].(object)
	for _, code := range []string{"400", "401", "403", "404", "405", "409", "413", "415", "422", "429", "500", "503"} {
		responses[code] = object{"$ref": "#/components/responses/Failure"}
	}
	if r.Endpoint.Reads() {
		if parameters := s.parameters(r.Request); len(parameters) > 0 {
			o["parameters"] = parameters
		}
		return o
	}
	o["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.request(r.Request)}}}
	return o
}

func response(description string, schema object) object {
	return object{"description": description, "content": object{"application/json": object{"schema": schema}}}
}

// TestEveryCallIsDescribed: the drift test compares with the calls that this test knows.
func TestEveryCallIsDescribed(t *testing.T) {
	known := map[proto.Endpoint]bool{}
	for _, r := range everyCall(t, nil).Routes() {
		known[r.Endpoint] = true
	}
	for _, e := range proto.Endpoints() {
		if !known[e] {
			t.Errorf("%s: add it to everyCall", e)
		}
	}
}
