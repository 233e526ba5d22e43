// Package adapters takes tests to where the programs are that they need: the
// tests with the build tag host, of packages that wrap a program such as Nix or
// systemd, are compiled here and run in a test host. It finds them by itself.
package adapters
