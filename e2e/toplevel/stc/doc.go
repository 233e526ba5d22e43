// Package stc stands in for NixOS's switch-to-configuration on the test hosts: the program behind
// <toplevel>/bin/switch-to-configuration.
//
// It follows what the real one does, not what would be convenient: the order of its effects, its
// exit codes, its lock, its resume lists, its waits without a bound, its habit of forgetting every
// failed unit, and its death (exit 101) when nobody reads its output any more. It talks to systemd
// over the system bus, as the real one does.
//
// Left out, because the hosts have neither: swap devices, and the units of logged-in users.
package stc
