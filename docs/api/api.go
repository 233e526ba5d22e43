// Package api has the description of the operator API over HTTP, as the controller
// serves it; a test writes it from the Go types.
package api

import _ "embed"

//go:embed openapi.json
var openAPI []byte

// OpenAPI returns the description, in OpenAPI 3.1, as JSON.
func OpenAPI() []byte { return openAPI }
