// Package adapters runs the tests of the packages that wrap a program of the
// system, such as systemd or Nix, where that program is: in a test host. Those
// tests have the build tag host and names that begin with TestReal; go test on
// the machine itself does not see them.
package adapters
