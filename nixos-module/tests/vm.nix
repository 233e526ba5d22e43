# The tests in VMs, as far as they can be evaluated without NixOS: what each would run, and its machines.
#
# lib    another one, such as that of nixpkgs
{
  lib ? import ./lib.nix,
}:
let
  nixpkgs = {
    inherit lib;
    legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
      system: import ./pkgs.nix { inherit lib system; }
    );
  };
  self = (import ../../flake.nix).outputs { inherit self nixpkgs; };
  # What the flake's app runs.
  inherit
    (import ../vm {
      pkgs = nixpkgs.legacyPackages.x86_64-linux;
      modules = self.nixosModules;
      agent = self.packages.x86_64-linux.kedge-agent;
    })
    demo
    ;
  machine = config: {
    units = builtins.attrNames config.systemd.services;
    refusals = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
    systems = builtins.mapAttrs (_: system: system.drvPath) config.vm.toplevels;
    first = config.system.build.toplevel.drvPath;
    brings = map (package: package.name) config.system.extraDependencies;
    ports = config.networking.firewall.allowedTCPPorts;
  };
in
builtins.mapAttrs (_: test: {
  inherit (test) script;
  machines = builtins.mapAttrs (_: machine) test.nodes;
}) (self.checks.x86_64-linux // { inherit demo; })
