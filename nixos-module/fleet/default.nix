# lib.mkFleet of the flake: the outputs nixosConfigurations and kedge of a fleet's flake from one description of
# its hosts. docs/rollouts.md has what else there is to say, and options.nix each part of it.
#
# lib            nixpkgs'
# modules        those of Kedge, of which every host gets all; each does nothing until it is enabled
# nixosSystem    that of the nixpkgs that hosts are made of where the fleet names no other
{
  lib,
  modules,
  nixosSystem,
}:
let
  inherit (builtins)
    attrNames
    concatStringsSep
    isAttrs
    mapAttrs
    removeAttrs
    ;
  problems = import ./check.nix { inherit lib; };

  # What is said of a host that the output kedge has not.
  made = [
    "configuration"
    "modules"
  ];

  # A host is a NixOS configuration, one module that is no set, or { modules or configuration; tags; caches; hold; }.
  description =
    host:
    if isAttrs host && host ? config && host ? options then
      { configuration = host; }
    else if isAttrs host then
      host
    else
      { modules = [ host ]; };

  mkFleet =
    {
      hosts,
      sites ? { },
      rollout ? { },
      nixpkgs ? null,
      specialArgs ? { },
    }:
    let
      described = mapAttrs (_: description) hosts;
      system = if nixpkgs == null then nixosSystem else nixpkgs.lib.nixosSystem;
      spec = {
        hosts = lib.filterAttrs (_: host: host != { }) (
          mapAttrs (_: host: removeAttrs host made) described
        );
        inherit sites rollout;
      };
      wrong = problems spec (attrNames hosts);
    in
    {
      nixosConfigurations = mapAttrs (
        name: host:
        host.configuration or (system {
          inherit specialArgs;
          modules =
            modules
            ++ [
              {
                networking.hostName = lib.mkDefault name;
                # What it is to the controller, whatever it calls itself; before the module's default.
                services.kedge-agent.settings.host = lib.mkOverride 900 name;
              }
            ]
            ++ host.modules or (throw "kedge: host ${name} has neither modules nor a configuration; a module that is a set goes into modules");
        })
      ) described;

      kedge =
        if wrong == [ ] then
          spec
        else
          throw (
            concatStringsSep "\n" (
              [ "what the fleet says about its hosts is wrong:" ] ++ map (p: "${p.path}: ${p.text}") wrong
            )
          );
    };
in
mkFleet
