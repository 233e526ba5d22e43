// Package cli is what a person on a host asks its agent for: the commands of
// kedge-agent other than those that systemd runs.
package cli
