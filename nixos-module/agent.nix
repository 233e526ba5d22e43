# services.kedge-agent: this host follows its controller.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib)
    mkIf
    mkOption
    mkPackageOption
    types
    ;
  cfg = config.services.kedge-agent;
  format = pkgs.formats.yaml { };
  configFile = format.generate "agent.yaml" cfg.settings;

  # What the agent and its transactions run: nix, nix-store, journalctl and bootctl.
  path = [
    config.nix.package
    config.systemd.package
  ];

  inherit (import ./types.nix { inherit lib; })
    externalPath
    machineId
    pin
    publicKey
    ;
  persistent = import ./persistent.nix { inherit config lib; };
  checks = import ./checks.nix { inherit lib; };
  metricsPort = import ./outside.nix { inherit lib; } [ cfg.settings.metrics.listen ];
  noChecks = map (name: "services.kedge-agent.checks.${name}") (checks.wrong cfg.checks);
in
{
  options.services.kedge-agent = {
    # As mkEnableOption's, with more to say.
    enable = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether to enable the Kedge agent, which keeps this host on the system published for it.

        A system that needs a reboot is tried in a trial boot where the boot loader can boot
        it once (`docs/boot-loaders.md`), and {file}`kedge-trial.service` goes back if it is
        no good. From a kernel that panics or hangs no service can go back: for those, see
        {option}`resetWhenStuck`.
      '';
    };

    resetWhenStuck = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether the host reboots 30 s after a kernel panic, and a hardware watchdog resets it where
        systemd has hung for a minute: what was on trial is then gone back from by the boot loader.
        It sets {option}`boot.kernelParams` and the watchdog of systemd.
      '';
    };

    package = mkPackageOption pkgs [
      "kedge"
      "agent"
    ] { };

    servers = mkOption {
      type = types.nonEmptyListOf types.str;
      example = [ "wss://build.example.org/nats" ];
      description = ''
        URLs of the NATS servers, `wss://…/nats` or `tls://…:4222`. The agent makes one outbound
        connection to one of them, through an HTTP proxy if {option}`settings.proxy` names one.
      '';
    };

    pins = mkOption {
      type = types.listOf pin;
      default = [ ];
      example = [ "sha256:0J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U=" ];
      description = ''
        The keys of a controller whose certificate is its own, as `kedge host add` prints them.
        Empty for one that an authority vouches for.
      '';
    };

    credentialsFile = mkOption {
      type = externalPath;
      example = "/run/secrets/kedge.creds";
      description = ''
        The NATS credentials of this host, as made by `kedge host add`, outside of the store: place
        it with sops-nix or agenix.
      '';
    };

    machineId = mkOption {
      type = types.nullOr machineId;
      default = null;
      example = "22823ba6c96947e78b006c51a56fd89c";
      description = ''
        What {file}`/etc/machine-id` says on the one machine that this configuration is for: on any
        other the agent takes nothing (`wrong-machine`), and a deployment that brought it there goes
        back. `null` for any machine.
      '';
    };

    trust = {
      releaseKeys = mkOption {
        type = types.nonEmptyListOf publicKey;
        example = [ "release-1:0J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U=" ];
        description = "Public keys, in Nix's format, of those who may say what was built for this host.";
      };
      controllerKeys = mkOption {
        type = types.nonEmptyListOf publicKey;
        example = [ "controller-1:0J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U=" ];
        description = "Public keys, in Nix's format, of those who may say what this host shall run now.";
      };
      cacheKeys = mkOption {
        type = types.nonEmptyListOf publicKey;
        example = [ "cache-1:0J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U=" ];
        description = "Public keys that store paths must be signed with. Nix's own `trusted-public-keys` do not count here.";
      };
    };

    caches = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "https://cache.nixos.org" ];
      description = "Binary caches to fetch from, after those that the controller names.";
    };

    checks = checks.option;

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether to open the port of {option}`settings.metrics.listen`, for a Prometheus that scrapes
        this host. Nothing else of the agent needs an open port.
      '';
    };

    settings = mkOption {
      type = types.submodule {
        freeformType = format.type;
        options = import ./agent-settings.nix { inherit lib; };
      };
      default = { };
      example = {
        probation.deadline = "10m";
        reboot.windows = [ "Sat,Sun 02:00-04:00 Europe/Berlin" ];
      };
      description = ''
        Settings of {file}`/etc/kedge/agent.yaml`. A system with a wrong one does not build, and
        `kedge-agent --check-config` names every problem.
      '';
    };
  };

  config = mkIf cfg.enable {
    services.kedge-agent.settings = {
      host = lib.mkDefault config.networking.hostName;
      fetch.netrc_file = lib.mkDefault (config.nix.settings.netrc-file or "/etc/nix/netrc");
      nats = {
        inherit (cfg) servers;
        credentials_file = cfg.credentialsFile;
      }
      // lib.optionalAttrs (cfg.pins != [ ]) { tls.pins = cfg.pins; };
      trust.release_keys = cfg.trust.releaseKeys;
      trust.controller_keys = cfg.trust.controllerKeys;
      trust.cache_keys = cfg.trust.cacheKeys;
      inherit (cfg) caches;
    }
    // lib.optionalAttrs (cfg.machineId != null) { machine_id = cfg.machineId; }
    // lib.optionalAttrs (cfg.checks != { }) { probation.checks = checks.rendered cfg.checks; };

    assertions = [
      {
        assertion = config.nix.enable;
        message = "services.kedge-agent: nix.enable is false, but the agent fetches systems with Nix; set nix.enable = true.";
      }
      {
        assertion = config.system.switch.enable;
        message = "services.kedge-agent: system.switch.enable is false, so no system can be switched to; set system.switch.enable = true.";
      }
      {
        assertion = !config.system.autoUpgrade.enable;
        message = "services.kedge-agent: system.autoUpgrade.enable is true, and would switch this host to systems that nobody published; set system.autoUpgrade.enable = false.";
      }
      (persistent "kedge-agent" cfg.settings.state_dir)
      {
        assertion = noChecks == [ ];
        message = "${lib.concatStringsSep ", " noChecks}: set exactly one of unit, http, tcp and exec.";
      }
      {
        assertion = !cfg.openFirewall || metricsPort != [ ];
        message = "services.kedge-agent: openFirewall is set, but settings.metrics.listen names no port that other machines reach; name an address such as \"[::]:9417\".";
      }
    ];

    environment.systemPackages = [ cfg.package ]; # kedge-agent status, suspend and so on

    environment.etc."kedge/agent.yaml".source = configFile;

    # A configuration that the agent would refuse is no system at all.
    system.checks = lib.optional (pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform) (
      pkgs.runCommand "kedge-agent-config" { } ''
        ${lib.getExe' cfg.package "kedge-agent"} --check-config --config ${configFile} > $out
      ''
    );

    networking.firewall.allowedTCPPorts = mkIf cfg.openFirewall metricsPort;

    boot.kernelParams = mkIf cfg.resetWhenStuck [ "panic=30" ];

    systemd = {
      services = {
        kedge-agent = import ./agent-unit.nix { inherit (cfg) package; } // {
          inherit path;
        };
        kedge-trial =
          import ./trial-unit.nix {
            stateDir = toString cfg.settings.state_dir;
            runtimeDir = toString cfg.settings.runtime_dir;
          }
          // {
            inherit path;
          };
      };
      targets.boot-complete = import ./boot-complete.nix { stateDir = toString cfg.settings.state_dir; };
    }
    // (
      let
        patience = mkIf cfg.resetWhenStuck (lib.mkDefault "60s");
      in
      if options.systemd ? settings then # since NixOS 25.11
        { settings.Manager.RuntimeWatchdogSec = patience; }
      else
        { watchdog.runtimeTime = patience; }
    );
  };
}
