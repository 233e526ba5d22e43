// Package e2e holds the scenarios: Kedge as a whole, on hosts with real systemd
// and real Nix, behind networks that break (build tag e2e). What they are made
// of is in the packages below it: fleet, hosts, rootfs and toplevel.
package e2e
