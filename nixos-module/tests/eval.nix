# What a host gets from one of the modules, as a set that is JSON.
#
# service   agent, controller or monitoring
# config    JSON of the host's configuration
# package   store path with the programs
# lib       another one, such as that of nixpkgs
{
  service,
  config,
  package,
  lib ? import ./lib.nix,
}:
let
  pkgs = import ./pkgs.nix {
    inherit lib;
    kedge = programs // {
      agent = programs;
    };
  };
  programs = {
    type = "derivation";
    name = "kedge";
    outPath = builtins.storePath package;
  };
  host = lib.evalModules {
    modules = [
      ./nixos.nix
      (../. + "/${service}.nix")
      { config = builtins.fromJSON config; }
    ];
    specialArgs = { inherit pkgs; };
  };
  inherit (host.config)
    assertions
    boot
    environment
    networking
    services
    system
    systemd
    users
    ;
  configFile = environment.etc."kedge/${service}.yaml".source or null;
in
{
  units = builtins.mapAttrs (name: unit: {
    # As the hosts of the tests have it, who bring their own programs and restart nothing by triggers.
    text = (import ../../e2e/toplevel/nix/unit.nix).render "${name}.service" (
      removeAttrs unit [
        "path"
        "restartTriggers"
      ]
    );
    inherit (unit) wantedBy;
    path = map (p: p.name) unit.path;
    restartsWithConfig = unit.restartTriggers or [ ] == [ configFile ];
  }) systemd.services;
  # NixOS writes them beside systemd's own units.
  overrides = builtins.mapAttrs (
    name: (import ../../e2e/toplevel/nix/unit.nix).render "${name}.target"
  ) systemd.targets;
  settings =
    if configFile == null then
      { }
    else
      builtins.fromJSON (builtins.unsafeDiscardStringContext (builtins.readFile configFile));
  kernelParams = boot.kernelParams or [ ];
  manager = systemd.settings.Manager;
  rules = map (r: r.drvPath or r) services.prometheus.ruleFiles;
  dashboards = services.grafana.provision.dashboards.settings.providers or [ ];
  refusals = map (a: a.message) (builtins.filter (a: !a.assertion) assertions);
  checks = map (c: c.drvPath) system.checks;
  packages = map (p: p.name) environment.systemPackages;
  ports = networking.firewall.allowedTCPPorts;
  accounts = users.users;
}
