# Stands in for nixpkgs' driver of tests in VMs: evaluates their machines, and what the test would run.
{ lib, pkgs }:
{
  runNixOSTest =
    test:
    let
      nodes = builtins.mapAttrs (
        name: node:
        (lib.evalModules {
          modules = [
            ./nixos.nix
            test.defaults
            { networking.hostName = name; }
            node
          ];
          specialArgs = { inherit nodes pkgs; };
        }).config
      ) test.nodes;
      script = test.testScript { inherit nodes; };
      driver = pkgs.runCommand "nixos-test-driver-${test.name}" { } script;
    in
    pkgs.runCommand "vm-test-run-${test.name}" { } script
    // {
      inherit driver nodes script;
      driverInteractive = driver;
    };
}
