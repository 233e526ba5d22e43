// Package tidy removes from a host what deployments left behind: generations of
// the system profile beyond those that are kept, their boot entries, and garbage
// in the store.
//
// It takes away nothing that the host runs, was booted with, or may have to go
// back to, and nothing before a deployment has committed. What it does can be
// repeated after a crash at any point.
package tidy
