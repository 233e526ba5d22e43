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
  unit = import ./controller-unit.nix { inherit (cfg) package; };
  configFile = format.generate "controller.yaml" cfg.settings;
  inherit (import ./types.nix { inherit lib; }) externalPath;
  inherit (import ./controller-settings.nix { inherit lib; }) notification source settings;
  hasCertificate = cfg.tls.certificateFile != null && cfg.tls.keyFile != null;
  credentials = "/run/credentials/kedge-controller.service";
  evaluator = cfg.settings.build.eval_user;
  # Whether an account other than the controller's own evaluates.
  isOther = evaluator != "" && evaluator != "root";
  # The users that a setting of nix.conf lists, with those that are added to it. Where Nix is not
  # enabled the options of NixOS have no value.
  listed =
    name: default:
    let
      settings = if config.nix.enable then config.nix.settings else { };
      words = users: if builtins.isString users then lib.splitString " " users else users;
    in
    words (settings.${name} or default) ++ words (settings."extra-${name}" or [ ]);
  allowed = listed "allowed-users" [ "*" ];
  # Whether nix.conf lists the evaluator, as far as its name tells.
  lists = users: lib.any (u: u == "*" || u == evaluator) users;
  trusted = listed "trusted-users" [ ];
  # Those of a set of accounts, or of groups, that have a name.
  called =
    name: set: lib.filter (x: x.name == name) (lib.mapAttrsToList (n: x: { name = n; } // x) set);
  accounts = called evaluator config.users.users;
  # Whether the evaluator is in a group, as far as this configuration tells.
  isIn =
    group:
    lib.any (a: a.group or "" == group || lib.elem group (a.extraGroups or [ ])) accounts
    || lib.any (g: lib.elem evaluator (g.members or [ ])) (called group config.users.groups);
  trustedGroups = lib.filter (u: lib.hasPrefix "@" u && isIn (lib.removePrefix "@" u)) trusted;
  ports = import ./outside.nix { inherit lib; } (
    lib.optional (cfg.settings.nats.url == "") cfg.settings.nats.listen ++ [ cfg.settings.http.listen ]
  );
in
{
  options.services.kedge-controller = {
    enable = mkEnableOption "the Kedge controller, which builds the systems of a fleet and publishes them";

    package = mkPackageOption pkgs "kedge" { };

    sources = mkOption {
      type = types.attrsOf (
        types.submodule {
          freeformType = format.type;
          options = source;
        }
      );
      default = { };
      example.main.url = "/srv/git/fleet.git";
      description = ''
        The channels that hosts follow, by name; see `docs/sources.md`. None where the controller
        builds nothing (`settings.keys.sign_releases = false`).
      '';
    };

    notifications = mkOption {
      type = types.attrsOf (
        types.submodule {
          freeformType = format.type;
          options = notification;
        }
      );
      default = { };
      example.ops = {
        url_file = "/run/secrets/chat-url";
        format = "slack";
        events = [ "rollout-halted" ];
      };
      description = ''
        Where somebody is told that a rollout halted, that a host went back, and the like, by name;
        see `docs/notifications.md`.
      '';
    };

    advertise = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "wss://build.example.org/nats" ];
      description = ''
        URLs under which hosts reach the NATS server: `wss://…/nats` at the port of HTTPS, or
        `tls://…:4222`; not both kinds. With `settings.nats.url`, empty means the servers there.
      '';
    };

    cacheUrls = mkOption {
      type = types.nonEmptyListOf types.str;
      example = [ "https://build.example.org/cache/" ];
      description = "URLs under which hosts reach the binary cache.";
    };

    tls = {
      certificateFile = mkOption {
        type = types.nullOr externalPath;
        default = null;
        example = "/var/lib/acme/build.example.org/fullchain.pem";
        description = ''
          The certificate that hosts and operators see, with those between it and its authority,
          in PEM. Without one the controller signs its own, and `kedge host add` says the pin of
          its key, for {option}`services.kedge-agent.pins`.
        '';
      };
      keyFile = mkOption {
        type = types.nullOr externalPath;
        default = null;
        example = "/var/lib/acme/build.example.org/key.pem";
        description = ''
          Its key. systemd hands both files over when the service starts and, from systemd 258 on,
          when it is reloaded: see `docs/network.md`.
        '';
      };
    };

    evalUser = mkOption {
      type = types.str;
      default = "kedge-eval";
      example = "builder";
      description = ''
        The account that evaluates flakes, through nix-daemon. A flake can read what it can: the
        credentials of private inputs in its home, {file}`/var/lib/kedge-eval`, and none of the
        controller's keys. Another one than the default has to exist. Empty for root: then whoever
        may push can read every file of this machine.
      '';
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether to open the ports that hosts connect to.";
    };

    settings = mkOption {
      type = types.submodule {
        freeformType = format.type;
        options = settings;
      };
      default = { };
      example.build.timeout = "2h";
      description = ''
        Settings of {file}`/etc/kedge/controller.yaml`. A system with a wrong one does not
        build, and `kedge-controller --check-config` names every problem.
      '';
    };
  };

  config = mkIf cfg.enable {
    services.kedge-controller.settings = {
      inherit (cfg) notifications sources;
      nats.listen = lib.mkDefault "0.0.0.0:4222";
      nats.advertise = cfg.advertise;
      http = {
        listen = lib.mkDefault "0.0.0.0:443"; # one port is enough for hosts
      }
      // lib.optionalAttrs hasCertificate {
        certificate_file = "${credentials}/tls-certificate";
        key_file = "${credentials}/tls-key";
      };
      cache.urls = cfg.cacheUrls;
      build.eval_user = lib.mkDefault cfg.evalUser;
      # NixOS tells Nix of no builders otherwise.
      build.remote = lib.mkDefault config.nix.distributedBuilds;
    };

    assertions = [
      (import ./persistent.nix { inherit config lib; } "kedge-controller" cfg.settings.state_dir)
      {
        assertion = config.nix.enable;
        message = "services.kedge-controller: nix.enable is false, but the controller builds with Nix; set nix.enable = true.";
      }
      {
        assertion = evaluator != "root";
        message = "services.kedge-controller: evalUser is \"root\", who reads every file of this machine; name another account, such as \"kedge-eval\".";
      }
      {
        assertion =
          !isOther || lists allowed || lib.any (u: builtins.substring 0 1 u == "@") allowed;
        message = "services.kedge-controller: nix-daemon does not let ${evaluator} in, who evaluates; add it to nix.settings.allowed-users.";
      }
      {
        assertion = !isOther || !lists trusted;
        message = "services.kedge-controller: nix-daemon trusts ${evaluator}, who evaluates, with all that root may; take it out of nix.settings.trusted-users.";
      }
      {
        assertion = !isOther || trustedGroups == [ ];
        message = "services.kedge-controller: nix-daemon trusts ${evaluator}, who evaluates, as it does all of ${toString trustedGroups}, with all that root may; take it out of that group, or the group out of nix.settings.trusted-users.";
      }
      {
        assertion = (cfg.tls.certificateFile == null) == (cfg.tls.keyFile == null);
        message = "services.kedge-controller: tls.certificateFile and tls.keyFile are set together or not at all.";
      }
      {
        assertion = cfg.advertise != [ ] || (cfg.settings.nats.url or "") != "";
        message = "services.kedge-controller: advertise names no URL under which hosts reach NATS, such as \"wss://build.example.org/nats\".";
      }
      {
        assertion = !cfg.openFirewall || (cfg.settings.http.tls or "on") != "off";
        message = "services.kedge-controller: openFirewall is set, and settings.http.tls is \"off\": everybody could get past the proxy. Let settings.http.listen be an address of this machine alone, settings.nats.listen be \"\", and open the proxy's port.";
      }
      {
        assertion = !cfg.openFirewall || ports != [ ];
        message = "services.kedge-controller: openFirewall is set, but neither settings.http.listen nor settings.nats.listen names a port that other machines reach; name an address such as \"[::]:443\".";
      }
    ];

    users = mkIf (evaluator == "kedge-eval") {
      users.kedge-eval = {
        isSystemUser = true;
        group = "kedge-eval";
        home = "/var/lib/kedge-eval";
        createHome = true;
        description = "Evaluates flakes for the Kedge controller";
      };
      groups.kedge-eval = { };
    };

    environment.etc."kedge/controller.yaml".source = configFile;
    # For kedge, the command line.
    environment.systemPackages = [ cfg.package ];

    # A configuration that the controller would refuse is no system at all.
    system.checks = lib.optional (pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform) (
      pkgs.runCommand "kedge-controller-config" { } ''
        ${lib.getExe' cfg.package "kedge-controller"} --check-config --config ${configFile} > $out
      ''
    );

    networking.firewall.allowedTCPPorts = mkIf cfg.openFirewall ports;

    systemd.services.kedge-controller = unit // {
      # The controller runs nix and git; both run ssh, for repositories and remote builders, and git
      # runs gpg, for signatures of commits.
      path = [
        config.nix.package
        pkgs.git
        pkgs.gnupg
        config.programs.ssh.package
      ];
      # Its text names a fixed path, so that another configuration alone would not change it.
      restartTriggers = [ configFile ];
      serviceConfig =
        unit.serviceConfig
        // lib.optionalAttrs hasCertificate {
          LoadCredential = [
            "tls-certificate:${cfg.tls.certificateFile}"
            "tls-key:${cfg.tls.keyFile}"
          ];
          # The controller looks at the files by itself.
          ExecReload = "${cfg.package}/bin/kedge-controller --version";
          RefreshOnReload = "credentials";
        };
    };
  };
}
