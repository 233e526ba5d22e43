# What the check of the output kedge says about each of several.
#
# file    JSON: { names = those of the hosts; specs = [ … ]; }
# lib     another one, such as that of nixpkgs
{
  file,
  lib ? import ./lib.nix,
}:
let
  problems = import ../fleet/check.nix { inherit lib; };
  cases = builtins.fromJSON (builtins.readFile file);
in
map (spec: map (p: "${p.path}: ${p.text}") (problems spec cases.names)) cases.specs
