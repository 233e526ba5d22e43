# The options of services.kedge-agent.settings: the agent's configuration, with its own names and
# defaults. What the module has options of its own for is not among them.
{ lib }:
let
  inherit (lib) mkOption types;
  inherit (import ./kinds.nix { inherit lib; })
    log
    mkBytes
    mkChoice
    mkDuration
    mkSecret
    mkTexts
    ;

  inherit (import ./types.nix { inherit lib; }) secretFile;

  mkHooks =
    when:
    mkOption {
      type = types.listOf (
        types.submodule {
          options = {
            exec = mkOption {
              type = types.nonEmptyListOf types.str;
              example = [
                "/run/current-system/sw/bin/drain"
                "--now"
              ];
              description = "The program, by its absolute path, and its arguments.";
            };
            timeout = mkDuration "1m" "5m" "How long it may take.";
          };
        }
      );
      default = [ ];
      example = [ { exec = [ "/run/current-system/sw/bin/drain" ]; } ];
      description = "Programs to run ${when}, one after the other; see `docs/hooks.md`.";
    };
in
{
  host = mkOption {
    type = types.str;
    defaultText = lib.literalExpression "config.networking.hostName";
    example = "web1";
    description = "The host's name in the fleet: that of its `nixosConfigurations`.";
  };
  state_dir = mkOption {
    type = types.path;
    default = "/var/lib/kedge";
    example = "/persist/kedge";
    description = "What must survive a reboot. The unit makes it where it is by default.";
  };
  runtime_dir = mkOption {
    type = types.path;
    default = "/run/kedge";
    example = "/run/kedge-test";
    description = "What must not survive one.";
  };
  machine_guard = mkOption {
    type = types.bool;
    default = true;
    example = false;
    description = ''
      Whether a machine with a copy of another's state or credentials is kept from acting as it. Off
      for machines whose {file}`/etc/machine-id` does not outlive a boot.
    '';
  };

  nats.renew_urls = mkTexts [ "https://build.example.org/enroll" ] ''
    URLs of the controller's enrolment, for a host that was off for so long that its credentials
    have expired.
  '';
  nats.max_reconnect_delay = mkDuration "2m" "30s" ''
    The longest wait, which is random, between two tries to connect.
  '';

  proxy = {
    url = mkOption {
      type = types.str;
      default = "";
      example = "http://proxy.example.org:3128";
      description = ''
        The HTTP proxy on the way out; empty for those that the environment names. With a password
        in it, use {option}`proxy.url_file`: this one is in the store.
      '';
    };
    url_file = mkSecret "/run/secrets/proxy" "A file with the URL.";
    direct = mkTexts [
      "cache.internal"
      "10.0.0.0/8"
    ] "Names, addresses and networks that are reached without it.";
  };

  trust.release_threshold = mkOption {
    type = types.ints.positive;
    default = 1;
    example = 2;
    description = "How many of the release keys must have signed a release.";
  };

  fetch.reserve = mkBytes (64 * 1024 * 1024) (
    1024 * 1024 * 1024
  ) "How many bytes must stay free in the store.";
  fetch.max_rate = mkBytes 0 1000000 ''
    How many bytes a second may be read from caches, all in all, at least 16384; 0 for as many as
    come. What that alone takes is on top of {option}`fetch.timeout`.
  '';
  fetch.netrc_file = mkOption {
    type = secretFile;
    defaultText = lib.literalExpression ''config.nix.settings.netrc-file or "/etc/nix/netrc"'';
    example = "/run/secrets/netrc";
    description = ''
      The file with the logins to private caches, as Nix takes it; it need not be there. The agent
      reads it where Nix does not go to a cache by itself: for a small change, through a proxy, and
      with {option}`fetch.max_rate`. Empty for none.
    '';
  };
  fetch.timeout = mkDuration "2h" "6h" ''
    How long one cache may take, before the next one is asked for what is still missing.
  '';

  activation.timeout = mkDuration "10m" "30m" "How long a switch may take.";
  activation.specialisation = mkOption {
    type = types.str;
    default = "";
    example = "docked";
    description = ''
      The specialisation that the host runs in; empty for none. See `docs/specialisations.md`.
    '';
  };

  policy =
    let
      staged = [
        "boot"
        "reboot"
        "hold"
      ];
    in
    {
      normal = mkChoice "switch" (staged ++ [ "switch" ]) ''
        What to do with a system that needs no reboot.
      '';
      reboot_needed = mkChoice "switch" (staged ++ [ "switch" ]) ''
        What to do with a system of which something, such as its kernel, takes effect with a reboot
        only; see `docs/reboots.md`.
      '';
      inhibited = mkChoice "hold" staged ''
        What to do with a system that must not be switched to while the host runs.
      '';
      confirm_after = mkDuration "0s" "15m" ''
        After how long what is held goes on though nobody has confirmed it; 0s for never. Vetoes
        still count then, and `kedge-agent suspend` says no.
      '';
    };

  reboot = {
    windows = mkTexts [ "Sat,Sun 02:00-04:00 Europe/Berlin" ] ''
      When a deployment may reboot the host; none for at any time. The stricter of these and the
      rollout's count.
    '';
    lease = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether the host reboots only with a lease from the controller, which limits how many do at
        once; see `docs/reboot-lease.md`.
      '';
    };
    timeout = mkDuration "10m" "30m" "How long the way down may take and, after it, the way up.";
    require_protection = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether trial boots are refused that the boot loader cannot undo; see
        `docs/boot-loaders.md`.
      '';
    };
    last_resort = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether a host that went back may reboot once, if the proven system cannot be activated or
        nobody at all answers.
      '';
    };
    last_resort_after =
      mkDuration "30m" "1h"
        "For how long nobody must have answered, give or take a fifth.";
  };

  probation = {
    grace = mkDuration "10s" "30s" "How long after the activation units are watched at the least.";
    deadline = mkDuration "5m" "10m" "When everything must be well, else the host goes back.";
    ignore_units = mkTexts [ "podman-*.service" ] "Patterns of units that do not count.";
  };

  hooks = {
    pre_fetch = mkHooks "before a system is fetched";
    pre_activate = mkHooks "before a system is activated";
    pre_reboot = mkHooks "before a reboot";
    reboot_cancelled = mkHooks "when a reboot does not happen after all";
    post_commit = mkHooks "after a system was committed";
    post_rollback = mkHooks "after the way back";
  };

  control.status_group = mkOption {
    type = types.str;
    default = "";
    example = "wheel";
    description = "The group that may read status and history on the host; empty for root alone.";
  };

  inhibit =
    let
      held = [
        "never"
        "reboot"
        "always"
      ];
    in
    {
      logind =
        mkChoice "reboot" held
          "What a lock against a shutdown, as of `systemd-inhibit`, holds back.";
      users = mkChoice "never" held "What somebody holds back who is logged in.";
      max = mkDuration "4h" "12h" "For how long after it was fetched a deployment may be held back.";
    };

  metrics = {
    listen = mkOption {
      type = types.str;
      default = "127.0.0.1:9417";
      example = "[::]:9417";
      description = ''
        Where Prometheus finds the agent: an address and a port, or `unix:` and the path of a
        socket; empty for nowhere.
      '';
    };
    textfile = mkOption {
      type = types.str;
      default = "";
      example = "/var/lib/prometheus-node-exporter/kedge.prom";
      description = ''
        A file that the agent writes for the textfile collector of node_exporter, in a directory
        that is there; empty for none.
      '';
    };
  };

  inherit log;

  generations.keep = mkOption {
    type = types.ints.unsigned;
    default = 0;
    example = 10;
    description = ''
      How many of the newest generations of the system stay after a commit, besides those that are
      needed; 0 for all.
    '';
  };

  gc = {
    enable = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether the agent collects garbage in the store when there is little room.";
    };
    min_free = mkBytes (1024 * 1024 * 1024) (
      512 * 1024 * 1024
    ) "How many bytes must be free in the store before it does.";
    max_free = mkBytes (4 * 1024 * 1024 * 1024) (
      2 * 1024 * 1024 * 1024
    ) "How many bytes are free when it ends.";
  };

  drift = {
    policy =
      mkChoice "adopt"
        [
          "adopt"
          "restore"
          "report"
        ]
        ''
          What becomes of a system that somebody else made run: it is taken as proven, the proven one is
          brought back, or nothing is deployed meanwhile.
        '';
    settle =
      mkDuration "5m" "10m"
        "How long nothing must have changed before the proven one is brought back.";
  };
}
