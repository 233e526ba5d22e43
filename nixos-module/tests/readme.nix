# The services of each system, or fleet of systems, that the README shows; none of an output `kedge`, about which
# there is nothing to say.
#
# examples   files, each with an expression that uses the flakes kedge and nixpkgs
{ examples }:
let
  nixpkgs = (import ./flake.nix).outputs { self = nixpkgs; };
  kedge = (import ../../flake.nix).outputs {
    self = kedge;
    inherit nixpkgs;
  };
  nixosSystem =
    { modules, ... }:
    nixpkgs.lib.evalModules {
      modules = [ ./nixos.nix ] ++ modules;
      specialArgs.pkgs = nixpkgs.legacyPackages.x86_64-linux;
    };
  system = builtins.scopedImport {
    inherit kedge;
    nixpkgs.lib = { inherit nixosSystem; };
  };
  servicesOf =
    { config, ... }:
    assert builtins.all (a: a.assertion) config.assertions;
    builtins.mapAttrs (_: unit: unit.serviceConfig.ExecStart) config.systemd.services;
  problems = import ../fleet/check.nix { inherit (nixpkgs) lib; };
  servicesOfAll =
    example:
    if example ? rollout then
      assert
        problems example [
          "box"
          "web1"
        ] == [ ];
      { }
    else if example ? kedge then
      builtins.foldl' (all: host: all // servicesOf host) { } (
        builtins.attrValues (builtins.seq example.kedge.hosts example.nixosConfigurations)
      )
    else
      servicesOf example;
in
map (example: servicesOfAll (system example)) examples
