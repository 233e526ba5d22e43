// Package layers runs the project's tests, layer by layer: the linter, unit
// tests, fuzz tests, integration tests against the real Nix and systemd of a
// test host, and whole fleets of test hosts. It shows what runs while it runs,
// and ends with a table of what each layer came to.
//
// A layer that did not run is a failure, and so is one without a single test:
// a green end says that everything was tried.
package layers
