// Package httpapi serves the operator API over HTTP: the calls of the NATS micro
// service, as JSON, to the bearers of operators' tokens.
//
// Each call is at its name below [proto.APIPath]. What only reads is GET, with the
// fields of its request as the query; everything else is POST, with the request as the
// body. An error is an object with a code and a message. There are no cookies, and no
// other site's pages may read an answer, so that a browser has nothing to be tricked
// with.
package httpapi
