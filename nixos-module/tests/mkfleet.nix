# Fleets as lib.mkFleet of the flake makes them: a good one, and two that are refused.
let
  nixpkgs = (import ./flake.nix).outputs { self = nixpkgs; };
  kedge = (import ../../flake.nix).outputs {
    self = kedge;
    inherit nixpkgs;
  };
  inherit (nixpkgs) lib;
  nixosSystem =
    { modules, specialArgs }:
    lib.evalModules {
      modules = [ ./nixos.nix ] ++ modules;
      specialArgs = specialArgs // {
        pkgs = nixpkgs.legacyPackages.x86_64-linux;
      };
    };
  mkFleet =
    fleet:
    kedge.lib.mkFleet (
      fleet
      // {
        nixpkgs.lib = { inherit nixosSystem; };
        specialArgs.greeting = "hello";
      }
    );
  good = mkFleet {
    hosts = {
      alone = { ... }: { };
      made.modules = [ ({ greeting, ... }: { system.name = greeting; }) ];
      named = {
        modules = [ { networking.hostName = "other"; } ];
        tags = [ "web" ];
        hold = "it is being looked at";
      };
      whole = nixosSystem {
        modules = [ { networking.hostName = "whole"; } ];
        specialArgs = { };
      };
    };
    sites.eu.hosts = "tag:web";
    rollout.freeze = "the fair";
  };
in
{
  good =
    let
      ofEach = get: builtins.mapAttrs (_: host: get host.config) good.nixosConfigurations;
    in
    {
      inherit (good) kedge;
      hostNames = ofEach (c: c.networking.hostName);
      agentHosts = ofEach (c: c.services.kedge-agent.settings.host or null);
      greetings = ofEach (c: c.system.name);
    };
  misspelt =
    (mkFleet {
      hosts.web1 = {
        modules = [ ];
        tgas = [ "web" ];
      };
    }).kedge;
  nothing =
    (mkFleet { hosts.web1.tags = [ "web" ]; }).nixosConfigurations.web1.config.networking.hostName;
}
