# Stands in for NixOS: the options that the modules read and set.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
in
{
  options = {
    assertions = option (types.listOf types.raw) [ ];
    boot = option (types.attrsOf types.raw) { };
    documentation.enable = option types.bool true;
    environment.etc = option (types.attrsOf (types.attrsOf types.raw)) { };
    environment.systemPackages = option (types.listOf types.package) [ ];
    fileSystems = option (types.attrsOf types.raw) { };
    networking.firewall.allowedTCPPorts = option (types.listOf types.int) [ ];
    networking.hostName = option types.str "nixos";
    nix.distributedBuilds = option types.bool false;
    nix.enable = option types.bool true;
    nix.package = option types.package pkgs.nix;
    nix.settings = option (types.submodule {
      freeformType = types.attrsOf types.raw;
      options.trusted-users = mkOption { type = types.raw; };
    }) { };
    nixpkgs.hostPlatform = option types.str "x86_64-linux";
    programs.ssh.package = option types.package pkgs.openssh;
    security.pki.certificateFiles = option (types.listOf types.path) [ ];
    services.grafana.provision = option (types.attrsOf types.raw) { };
    services.nginx.enable = option types.bool false;
    services.nginx.virtualHosts = option (types.attrsOf types.raw) { };
    services.openssh.enable = option types.bool false;
    services.postgresql.enable = option types.bool false;
    services.postgresql.settings = option (types.attrsOf types.raw) { };
    services.prometheus.ruleFiles = option (types.listOf types.path) [ ];
    system.autoUpgrade.enable = option types.bool false;
    system.extraDependencies = option (types.listOf types.package) [ ];
    system.name = option types.str "";
    system.build = option (types.attrsOf types.raw) { };
    system.checks = option (types.listOf types.package) [ ];
    system.stateVersion = option types.str "25.11";
    system.switch.enable = option types.bool true;
    systemd.mounts = option (types.listOf types.raw) [ ];
    systemd.package = option types.package pkgs.systemd;
    systemd.services = option (types.attrsOf (types.attrsOf types.raw)) { };
    systemd.settings.Manager = option (types.attrsOf types.raw) { };
    systemd.targets = option (types.attrsOf (types.attrsOf types.raw)) { };
    users.groups = option (types.attrsOf types.raw) { };
    users.users = option (types.attrsOf types.raw) { };
    virtualisation = option (types.attrsOf types.raw) { };
  };

  # It has no value where Nix is not enabled.
  config.nix.settings.trusted-users = lib.mkIf config.nix.enable (lib.mkDefault [ "root" ]);

  # Of no use, but different where these are.
  config.system.build.toplevel = pkgs.runCommand "nixos-system-${config.networking.hostName}" { } (
    builtins.toJSON {
      inherit (config) boot;
      services = builtins.mapAttrs (_: unit: unit.serviceConfig) config.systemd.services;
      etc = builtins.mapAttrs (_: file: file.text or file.source) config.environment.etc;
    }
  );
}
