# Hosts of both systems that import the modules of the flake: of which system and which output the
# package is that each service gets.
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
    origin = { package, ... }: "${package.system} ${package.outputName}";
  in
  {
    agent = origin services.kedge-agent;
    controller = origin services.kedge-controller;
  }
)
