# Stands in for NixOS: the options that the modules read and set.
{ lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
in
{
  options = {
    assertions = option (types.listOf types.raw) [ ];
    boot = option (types.attrsOf types.raw) { };
    environment.etc = option (types.attrsOf (types.attrsOf types.raw)) { };
    environment.systemPackages = option (types.listOf types.package) [ ];
    fileSystems = option (types.attrsOf types.raw) { };
    networking.firewall.allowedTCPPorts = option (types.listOf types.int) [ ];
    networking.hostName = option types.str "nixos";
    nix.distributedBuilds = option types.bool false;
    nix.enable = option types.bool true;
    nix.package = option types.package pkgs.nix;
    nixpkgs.hostPlatform = option types.str "x86_64-linux";
    programs.ssh.package = option types.package pkgs.openssh;
    services.grafana.provision = option (types.attrsOf types.raw) { };
    services.nginx.enable = option types.bool false;
    services.openssh.enable = option types.bool false;
    services.postgresql.enable = option types.bool false;
    services.prometheus.ruleFiles = option (types.listOf types.path) [ ];
    system.name = option types.str "";
    system.checks = option (types.listOf types.package) [ ];
    system.stateVersion = option types.str "25.11";
    system.switch.enable = option types.bool true;
    systemd.package = option types.package pkgs.systemd;
    systemd.services = option (types.attrsOf (types.attrsOf types.raw)) { };
    systemd.targets = option (types.attrsOf (types.attrsOf types.raw)) { };
  };
}
