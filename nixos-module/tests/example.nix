# An example of a fleet: the services of each host, what a host refuses, and the output kedge.
#
# example   its directory
{ example }:
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
  self = (import (example + "/flake.nix")).outputs {
    inherit self kedge;
    nixpkgs = nixpkgs // {
      lib = nixpkgs.lib // {
        inherit nixosSystem;
      };
    };
  };
in
{
  inherit (self) kedge;
  hosts = builtins.mapAttrs (_: { config, ... }: {
    services = builtins.attrNames config.systemd.services;
    refusals = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
    settings = builtins.fromJSON (
      builtins.unsafeDiscardStringContext (
        builtins.readFile
          (config.environment.etc."kedge/agent.yaml" or config.environment.etc."kedge/controller.yaml").source
      )
    );
  }) self.nixosConfigurations;
}
