# services.kedge-controller: this host builds for the fleet and publishes.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    mkEnableOption
    mkIf
    mkOption
    mkPackageOption
    types
    ;
  cfg = config.services.kedge-controller;
  format = pkgs.formats.yaml { };
  configFile = format.generate "controller.yaml" cfg.settings;
  portOf = address: lib.toInt (lib.last (lib.splitString ":" address));
in
{
  options.services.kedge-controller = {
    enable = mkEnableOption "the Kedge controller, which builds the systems of a fleet and publishes them";

    package = mkPackageOption pkgs "kedge" { };

    source = {
      url = mkOption {
        type = types.str;
        example = "/srv/git/fleet.git";
        description = "The git repository with the fleet's flake: a path or a URL.";
      };
      branch = mkOption {
        type = types.str;
        default = "main";
        description = "The branch to deploy.";
      };
    };

    advertise = mkOption {
      type = types.nonEmptyListOf types.str;
      example = [ "nats://build.example.org:4222" ];
      description = "URLs under which hosts reach the NATS server.";
    };

    cacheUrls = mkOption {
      type = types.nonEmptyListOf types.str;
      example = [ "http://build.example.org:8080/cache/" ];
      description = "URLs under which hosts reach the binary cache.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the ports that hosts connect to.";
    };

    settings = mkOption {
      type = types.submodule { freeformType = format.type; };
      default = { };
      example.source.poll = "5m";
      description = ''
        Further settings of {file}`/etc/kedge/controller.yaml`. A system with a wrong one does not
        build, and `kedge-controller --check-config` names every problem.
      '';
    };
  };

  config = mkIf cfg.enable {
    services.kedge-controller.settings = {
      source.url = cfg.source.url;
      source.branch = cfg.source.branch;
      nats.listen = lib.mkDefault "0.0.0.0:4222";
      nats.advertise = cfg.advertise;
      http.listen = lib.mkDefault "0.0.0.0:8080";
      cache.urls = cfg.cacheUrls;
      # NixOS tells Nix of no builders otherwise.
      build.remote = lib.mkDefault config.nix.distributedBuilds;
    };

    assertions = [
      {
        assertion = config.nix.enable;
        message = "services.kedge-controller: nix.enable is false, but the controller builds with Nix; set nix.enable = true.";
      }
    ];

    environment.etc."kedge/controller.yaml".source = configFile;
    # For kedge, the command line.
    environment.systemPackages = [ cfg.package ];

    # A configuration that the controller would refuse is no system at all.
    system.checks = lib.optional (pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform) (
      pkgs.runCommand "kedge-controller-config" { } ''
        ${lib.getExe' cfg.package "kedge-controller"} --check-config --config ${configFile} > $out
      ''
    );

    networking.firewall.allowedTCPPorts = mkIf cfg.openFirewall [
      (portOf cfg.settings.nats.listen)
      (portOf cfg.settings.http.listen)
    ];

    systemd.services.kedge-controller = import ./controller-unit.nix { inherit (cfg) package; } // {
      # The controller runs nix and git; both run ssh, for repositories and remote builders.
      path = [
        config.nix.package
        pkgs.git
        config.programs.ssh.package
      ];
      # Its text names a fixed path, so that another configuration alone would not change it.
      restartTriggers = [ configFile ];
    };
  };
}
