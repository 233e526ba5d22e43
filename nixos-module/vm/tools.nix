# What fleet/flake.nix builds with: a shell first.
{ pkgs }:
[
  pkgs.bash
  pkgs.coreutils
  pkgs.gnugrep
  pkgs.gnused
]
