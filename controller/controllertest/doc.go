// Package controllertest runs a real controller, with its real NATS server and
// HTTP server, over a git repository, a builder and a binary cache that exist in
// memory only, and agents that deploy by saying so. It is for tests of what is
// built on a controller.
package controllertest
