# The options of services.kedge-controller.settings, of its sources and of its notifications: the
# controller's configuration, with its own names and defaults. What the module has options of its own for is not among them.
{ lib }:
let
  inherit (lib) mkOption types;
  inherit (import ./kinds.nix { inherit lib; })
    log
    mkBytes
    mkChoice
    mkDuration
    mkNumber
    mkSecret
    mkSwitch
    mkText
    mkTexts
    ;

  push = {
    url =
      mkText "" "s3://fleet-cache?region=eu-central-1"
        "A binary cache, or `ssh-ng://…`; empty for {option}`command`.";
    ssh_key_file = mkSecret "/run/secrets/ssh-key" "A key for `ssh-ng`, outside of the store.";
    known_hosts_file = mkText "" "/etc/kedge/known_hosts" "The key of that machine.";
    credentials_file = mkSecret "/run/secrets/cache-credentials" "AWS' for `s3`, a netrc for HTTP, outside of the store.";
    command = mkTexts [ "cachix" "push" "fleet" ] ''
      A program that copies the paths on its standard input, and its arguments.
    '';
    token_file = mkSecret "/run/secrets/token" "What the program finds in its environment, outside of the store.";
    token_variable = mkText "" "CACHIX_AUTH_TOKEN" "As which variable.";
    timeout = mkDuration "2h" "6h" "How long one copy may take.";
  };
in
{
  source = {
    url = mkOption {
      type = types.str;
      example = "/srv/git/fleet.git";
      description = "The git repository with the flake of the channel's hosts: a path or a URL.";
    };
    branch = mkText "main" "production" "The branch to deploy.";
    subdir = mkText "" "nixos" "Where the flake is in the repository; empty for its top.";
    file =
      mkText "" "hosts.nix"
        "A Nix file in the repository that is evaluated in the place of a flake.";
    attribute =
      mkText "" "fleet.hosts"
        "Where its hosts are in there; empty for `nixosConfigurations`.";
    submodules = mkSwitch false "Whether git's submodules belong to it.";
    poll = mkDuration "1m" "5m" "How often to look without being asked.";
    hosts =
      mkText "all" "tag:web"
        "Which of the flake's hosts follow the channel, as waves select theirs.";
    ssh_key_file = mkSecret "/run/secrets/ssh-key" "A key for repositories by SSH, outside of the store.";
    known_hosts_file = mkText "" "/etc/kedge/known_hosts" "The keys of SSH servers.";
    token_file = mkSecret "/run/secrets/token" "A token for repositories by HTTPS, outside of the store.";
    user = mkText "" "deploy" "The user that goes with the token.";
    force_push = mkChoice "accept" [
      "accept"
      "refuse"
    ] "What becomes of a branch that was pushed over.";
    signatures = {
      required = mkSwitch false "Whether every commit must be signed.";
      allowed_signers_file =
        mkText "" "/etc/kedge/allowed_signers"
          "Who may with SSH, as ssh-keygen(1) says.";
      gpg_keys_file =
        mkText "" "/etc/kedge/keys.gpg"
          "Public keys of OpenPGP, as `gpg --export` writes them.";
      gpg_fingerprints = mkTexts [ "6B3F1B9A0C6D4E0E8E0F5C2B7A9D1E3F5A7B9C1D" ] ''
        Which of them count.
      '';
    };
    webhook = {
      kind = mkChoice "" [
        ""
        "github"
        "gitlab"
        "gitea"
        "forgejo"
        "hmac"
      ] "Which forge tells of pushes, at `/hook/` and the channel's name; empty for none.";
      secret_file = mkSecret "/run/secrets/webhook" "The secret of the webhook, outside of the store.";
      header = mkText "" "X-Signature" "Where the signature is, for the kind `hmac`.";
    };
  };

  notification = {
    url =
      mkText "" "https://ntfy.example.org/fleet"
        "Where messages are sent by POST, if that is no secret.";
    url_file = mkSecret "/run/secrets/chat-url" "A file outside of the store that has the URL.";
    format = mkChoice "json" [
      "json"
      "slack"
      "ntfy"
    ] "How messages are written.";
    secret_file = mkSecret "/run/secrets/webhook" "The key that messages are signed with, outside of the store; for `json`.";
    token_file = mkSecret "/run/secrets/token" "A bearer's token that goes with messages, outside of the store.";
    events = mkTexts [
      "rollout-halted"
      "rollback-failed"
    ] "What is told; empty for all.";
  };

  settings = {
    state_dir = mkText "/var/lib/kedge-controller" "/persist/kedge-controller" ''
      Where everything durable lives. The unit makes it where it is by default, and
      {command}`kedge` finds its credentials there; elsewhere {env}`KEDGE_CREDS` names
      {file}`admin.creds` in it.
    '';

    nats = {
      url =
        mkText "" "tls://nats.example.org:4222"
          "A NATS server of somebody else's, in place of the embedded one.";
      credentials_file = mkSecret "/run/secrets/nats.creds" "For such a server whose accounts others made.";
      replicas = mkNumber 1 3 "How many servers of a cluster keep each stream.";
    };

    http = {
      tls = mkChoice "on" [
        "on"
        "off"
      ] "Whether HTTP and NATS speak TLS; `off` behind a proxy that does.";
      web = mkSwitch true "Whether there are pages for a browser.";
      metrics_from = mkOption {
        type = types.listOf types.str;
        default = [
          "127.0.0.0/8"
          "::1/128"
        ];
        example = [ "10.0.0.0/8" ];
        description = "The networks that may read the metrics.";
      };
      trusted_proxies = mkTexts [ "127.0.0.1/32" ] ''
        The networks of HTTP proxies that are believed whose request it is.
      '';
    };

    cache = {
      from = mkTexts [ "https://ci.example.org/cache/" ] ''
        Caches that others fill, from which what is published is fetched.
      '';
      upstream = mkTexts [ "https://cache.nixos.org" ] ''
        Caches that hosts reach, too: what they have is not stored again.
      '';
      embedded = mkSwitch true ''
        Whether the controller keeps a cache; without one hosts fetch from those of
        {option}`push`.
      '';
      push = mkOption {
        type = types.listOf (types.submodule { options = push; });
        default = [ ];
        example = [ { url = "s3://fleet?region=eu-central-1"; } ];
        description = "Further caches that closures are copied to; see `docs/caches.md`.";
      };
      public = mkSwitch false "Whether everybody may read the cache.";
      retention = mkDuration "168h" "720h" "For how long what nobody needs stays in the cache.";
      keep_revisions = mkNumber 3 5 "Of how many revisions all stays.";
      min_free = mkBytes (1024 * 1024 * 1024) (20 * 1024 * 1024 * 1024) ''
        Below how many free bytes only what is needed stays.
      '';
    };

    build = {
      jobs = mkNumber 0 4 "How many builds run at once; 0 for one for each processor.";
      timeout = mkDuration "1h" "3h" "How long the build of a revision may take.";
      max_silent_time = mkDuration "10m" "30m" "How long one build may say nothing.";
      builders = mkTexts [ "ssh-ng://builder@arm.example.org aarch64-linux" ] ''
        Machines that build beside this one, in place of those of {option}`nix.buildMachines`.
      '';
      host =
        mkText "" "ssh-ng://builder.example.org"
          "The machine that builds everything, as `ssh-ng://…`; empty for this one.";
      ssh_key_file = mkSecret "/run/secrets/ssh-key" "A key for it, outside of the store.";
      known_hosts_file = mkText "" "/etc/kedge/known_hosts" "Its key.";
      eval_workers = mkNumber 0 2 "How many evaluations run at once; 0 for one for each processor.";
      eval_memory = mkNumber 4096 8192 "How many MiB one evaluation may use.";
      keep_revisions = mkNumber 10 5 "How many revisions stay built.";
    };

    keys = {
      release = mkTexts [ "ci-1:0J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U=" ] ''
        Keys of others, such as CI, whose releases may be assigned.
      '';
      release_threshold = mkNumber 1 2 "How many keys must have signed a release.";
      sign_releases = mkSwitch true ''
        Whether the controller holds a release key, and builds; see `docs/keys.md`.
      '';
      spare = mkTexts [ "spare-1:0J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U=" ] ''
        Controller keys whose secret halves are kept elsewhere.
      '';
      cache = mkTexts [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ] ''
        Keys of others whose store paths hosts trust.
      '';
    };

    reboot = {
      max_concurrent = mkNumber 1 5 "How many hosts may reboot at a time, of those that ask.";
      lease_max_age = mkDuration "0s" "12h" ''
        After how long another host may reboot in place of one that did not come back; 0s for never.
      '';
    };

    rollout.own_host = mkText "" "build" ''
      The host that the controller runs on, which goes last; empty for the one of this machine's
      name.
    '';

    enroll = {
      lifetime =
        mkDuration "720h" "168h"
          "For how long a host's credentials are valid unless they are renewed.";
      urls = mkTexts [ "https://build.example.org/enroll" ] ''
        Where hosts reach the enrolment; empty to make it of the URLs of the cache.
      '';
    };

    metrics.hosts = mkNumber 1000 200 "How many hosts have series of their own; 0 for none.";

    ha.enabled = mkSwitch false ''
      Whether there are several controllers, one of which leads; see `docs/high-availability.md`.
    '';

    inherit log;
  };
}
