# Hosts of both systems that import the modules of the flake: which package each service gets, as the
# flake's output of which system it is.
let
  nixpkgs = (import ./flake.nix).outputs { self = nixpkgs; };
  self = (import ../../flake.nix).outputs { inherit self nixpkgs; };
  inherit (nixpkgs) lib;
  host =
    system:
    lib.evalModules {
      modules = [ ./nixos.nix ] ++ builtins.attrValues self.nixosModules;
      specialArgs.pkgs = nixpkgs.legacyPackages.${system};
    };
in
lib.genAttrs lib.platforms.linux (
  system:
  let
    inherit ((host system).config) services;
  in
  {
    agent = services.kedge-agent.package.system;
    controller = services.kedge-controller.package.system;
  }
)
