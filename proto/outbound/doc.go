// Package outbound makes the connections that leave a host or an operator's
// machine: to NATS, to binary caches, to the enrolment. It knows whom TLS
// trusts, a pinned key or an authority, and the HTTP proxy that stands between.
//
// Errors are for people: they say which proxy or which server refused, and what
// to set. They never hold a proxy's password.
package outbound
