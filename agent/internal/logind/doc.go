// Package logind asks systemd-logind who wants the host to stay up, and who is
// logged in.
package logind
