# The options of the flake's output `kedge`, as docs/rollouts.md tells of them.
{ lib }:
let
  inherit (lib) mkOption;
  kinds = import ./kinds.nix { inherit lib; };
  inherit (kinds)
    amount
    boolean
    cache
    choice
    duration
    listOf
    name
    namedSets
    reason
    selector
    set
    someHosts
    someTime
    window
    ;

  # An option with a default, in words where it is no value.
  option =
    type: default: description:
    mkOption { inherit type default description; };
  optional =
    type: defaultText: description:
    mkOption {
      inherit type description;
      default = null;
      defaultText = lib.literalMD defaultText;
    };
  required =
    type: example: description:
    mkOption { inherit type example description; };

  caches = option (listOf cache) [ ];
  overrun = choice "finish" "pause";

  budget = failed: silent: success: {
    failed = failed amount "At most as many of a wave's hosts fail or go back, rounded down.";
    silent = silent amount "At most as many online hosts say nothing, rounded down.";
    success = success amount "At least as many succeed, rounded up.";
  };
  theRollouts = type: optional type "the rollout's";
  unbounded = type: optional type "no bound";

  wave = set {
    name = required name "canary" "Its own, and not `rest`.";
    hosts = required selector "tag:canary" ''
      Which hosts. A host goes with the first wave that selects it.
    '';
    canary = optional (set {
      size = optional someHosts "none" "As many, rounded up, chosen anew for each revision.";
      hosts = optional selector "none" "Or these.";
      soak = option duration "0s" "From the canary's last verdict to the other hosts.";
    }) "none" "Those of its hosts that go before the others.";
    maxInFlight = optional someHosts "all" "Hosts at work at a time, rounded up.";
    soak = option duration "0s" "From the wave's last verdict to the next wave.";
    approval = option boolean false "Whether a person has to `kedge rollout promote` before it starts.";
    budget = theRollouts (set (budget theRollouts theRollouts theRollouts)) ''
      What may go wrong in it; what it does not say is as in the rollout's.
    '';
    windows = theRollouts (set {
      allow = theRollouts (listOf window) "While one of these is open; without any, always.";
      deny = theRollouts (listOf window) "But not while one of these is.";
      overrun = theRollouts overrun "What becomes of it if it is under way when its window closes.";
    }) "When it goes; what it does not say is as in the rollout's.";
  };
in
{
  hosts = option (namedSets (set {
    tags = option (listOf name) [ ] "What selectors find it by; a host cannot give itself any.";
    caches = caches "Binary caches of its own.";
    hold = option reason "" "Why it gets nothing new; empty if it does.";
  })) { } "What there is to say about hosts of `nixosConfigurations`, by their names.";

  sites = option (namedSets (set {
    hosts = required selector "tag:eu" "Which hosts.";
    caches = caches "Their caches.";
  })) { } "Hosts with binary caches near them, by names.";

  rollout = option (set {
    waves = option (listOf wave) [ ] ''
      Waves, one after the other. Hosts that none selects go last, in a wave `rest`; without any
      wave all go in one, `all`.
    '';
    budget = option (set (budget (type: option type 0) unbounded unbounded)) { } ''
      What may go wrong in a wave.
    '';
    silentAfter = option someTime "15m" ''
      How long an online host may say nothing about what it was assigned.
    '';
    maxSilent = option amount "50%" ''
      As many of the hosts that could be heard when a rollout began, or since, may be silent now,
      rounded down; with more nobody else goes until they are back.
    '';
    onBrokenBudget = option (choice "halt" "revert") "halt" ''
      What becomes of a rollout whose budget is broken: nobody else goes, or those who went go
      back, too.
    '';
    windows = option (set {
      allow = option (listOf window) [ ] "While one of these is open; without any, always.";
      deny = option (listOf window) [ ] "But not while one of these is.";
      overrun = option overrun "finish" ''
        What becomes of a wave that is under way when its window closes.
      '';
    }) { } "When hosts are published to.";
    approval = option boolean false ''
      Whether a person has to `kedge rollout promote` before the first wave.
    '';
    freeze = option reason "" "Why nothing new goes out; empty if it does.";
  }) { } "How a revision goes across the fleet.";
}
