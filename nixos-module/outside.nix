# The ports of those addresses at which other machines reach this one: a socket, the loopback and none have none.
{ lib }:
let
  inside = [
    "unix:"
    "127."
    "[::1]:"
    "localhost:"
  ];
  reached = address: address != "" && !lib.any (prefix: lib.hasPrefix prefix address) inside;
in
addresses:
map (address: lib.toInt (lib.last (lib.splitString ":" address))) (lib.filter reached addresses)
