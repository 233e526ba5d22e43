# The ports of those addresses at which other machines reach this one: a socket, the loopback and none have none,
# and a port with a name is not known here.
{ lib }:
let
  inside = [
    "unix:"
    "127."
    "[::1]:"
    "localhost:"
  ];
  reached = address: address != "" && !lib.any (prefix: lib.hasPrefix prefix address) inside;
  port = address: lib.last (lib.splitString ":" address);
  numbered = address: builtins.match "[0-9]+" (port address) != null;
in
addresses:
map (address: lib.toInt (port address)) (
  lib.filter (address: reached address && numbered address) addresses
)
