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
    type: default: example: description:
    mkOption {
      inherit
        type
        default
        example
        description
        ;
    };
  optional =
    type: defaultText: example: description:
    mkOption {
      inherit type example description;
      default = null;
      defaultText = lib.literalMD defaultText;
    };
  required =
    type: example: description:
    mkOption { inherit type example description; };

  hold = option reason "" "its disk is being replaced";
  approval = option boolean false true;
  soak = option duration "0s";
  caches = option (listOf cache) [ ] [ "https://cache.eu.example.org" ];
  overrun = choice "finish" "pause";
  allow = [ "Mon-Fri 09:00-16:00 Europe/Berlin" ];
  deny = [ "Dec 24-31 00:00-24:00 Europe/Berlin" ];

  budget = failed: silent: success: {
    failed = failed amount 2 ''
      How many of a wave's hosts may fail or go back. A percentage of them is rounded down.
    '';
    silent = silent amount "10%" ''
      How many of a wave's hosts may be online and say nothing for {option}`rollout.silentAfter`. A
      percentage of them is rounded down.
    '';
    success = success amount "90%" ''
      How many of a wave's hosts must succeed. A percentage of them is rounded up.
    '';
  };
  theRollouts = type: optional type "the rollout's";
  unbounded = type: optional type "no bound";

  wave = set {
    name = required name "canary" ''
      What the wave is called. No other has the same name, and none is called `rest`, as the last one
      is, of the hosts that no wave selects.
    '';
    hosts = required selector "tag:web and not tag:canary" ''
      The wave's hosts: those that the selector finds and no earlier wave has.
    '';
    canary =
      optional
        (set {
          size = optional someHosts "none" "10%" ''
            How many hosts go first, chosen anew for each revision. A percentage of the wave's is
            rounded up. Not together with {option}`hosts`.
          '';
          hosts = optional selector "none" "tag:canary" ''
            Which of the wave's hosts go first. Not together with {option}`size`.
          '';
          soak = soak "5m" ''
            How long to wait after the canary's last verdict, before the wave's other hosts go.
          '';
        })
        "none"
        {
          size = "10%";
          soak = "5m";
        }
        ''
          Those of the wave's hosts that go before its others. Where none of them comes to anything,
          because they are off or held, others are drawn.
        '';
    maxInFlight = optional someHosts "all" "25%" ''
      How many of the wave's hosts may be at work at a time. A percentage of them is rounded up.
    '';
    soak = soak "10m" "How long to wait after the wave's last verdict, before the next wave goes.";
    approval = approval "Whether the wave waits for a person's {command}`kedge rollout promote`.";
    budget = theRollouts (set (budget theRollouts theRollouts theRollouts)) { failed = 2; } ''
      What may go wrong in the wave. What is not given here is as in {option}`rollout.budget`.
    '';
    windows =
      theRollouts
        (set {
          allow = theRollouts (listOf window) allow ''
            Windows in which hosts of the wave are published to; none for at any time.
          '';
          deny = theRollouts (listOf window) deny ''
            Windows in which they are not, though one of {option}`allow` is open.
          '';
          overrun = theRollouts overrun "pause" ''
            What becomes of the wave if it is under way when its window closes: it goes on to its
            end, or waits for the next window.
          '';
        })
        {
          inherit allow;
        }
        ''
          When hosts of the wave are published to. What is not given here is as in
          {option}`rollout.windows`.
        '';
  };
in
{
  hosts =
    option
      (namedSets (set {
        tags = option (listOf name) [ ] [ "web" "canary" ] ''
          What selectors find the host by. It cannot give itself any.
        '';
        caches = caches "Binary caches of this host's own, before those of its site and the fleet's.";
        hold = hold "Why the host gets nothing new; empty if it does.";
      }))
      { }
      {
        web1.tags = [
          "web"
          "canary"
        ];
      }
      ''
        Hosts that there is something to say about, by their names in `nixosConfigurations`. The others
        are deployed as well.
      '';

  sites =
    option
      (namedSets (set {
        hosts = required selector "tag:eu" "The hosts of the site.";
        caches = caches "Binary caches near these hosts, before the fleet's.";
      }))
      { }
      {
        eu = {
          hosts = "tag:eu";
          caches = [ "https://cache.eu.example.org" ];
        };
      }
      "Places with binary caches of their own, by name.";

  rollout =
    option
      (set {
        waves =
          option (listOf wave)
            [ ]
            [
              {
                name = "canary";
                hosts = "tag:canary";
                soak = "10m";
              }
              {
                name = "others";
                hosts = "all";
                maxInFlight = "25%";
              }
            ]
            ''
              The waves, one after the other. A host goes with the first one that selects it; hosts that
              none selects go last, in a wave `rest`. Without any, all go in one, `all`.
            '';
        budget =
          option (set (budget (type: option type 0) unbounded unbounded)) { }
            {
              failed = 1;
              silent = "10%";
            }
            ''
              What may go wrong in a wave before the rollout stops; see {option}`rollout.onBrokenBudget`.
            '';
        silentAfter = option someTime "15m" "30m" ''
          How long an online host may say nothing about what it was assigned.
        '';
        maxSilent = option amount "50%" "100%" ''
          How many of the hosts that could be heard when a rollout began, or since, may be silent now.
          A percentage is rounded down. With more of them, nobody else goes until they are back.
        '';
        onBrokenBudget = option (choice "halt" "revert") "halt" "revert" ''
          What becomes of a rollout whose budget is broken: nobody else goes, or those who went go
          back, too.
        '';
        windows =
          option
            (set {
              allow = option (listOf window) [ ] allow ''
                Windows in which hosts are published to; none for at any time.
              '';
              deny = option (listOf window) [ ] deny ''
                Windows in which they are not, though one of {option}`allow` is open.
              '';
              overrun = option overrun "finish" "pause" ''
                What becomes of a wave that is under way when its window closes: it goes on to its end,
                or waits for the next window.
              '';
            })
            { }
            {
              inherit allow;
              overrun = "pause";
            }
            "When hosts are published to.";
        approval = approval ''
          Whether the first wave waits for a person's {command}`kedge rollout promote`.
        '';
        freeze = option reason "" "the fair, until Monday" "Why nothing new goes out; empty if it does.";
      })
      { }
      {
        waves = [
          {
            name = "canary";
            hosts = "tag:canary";
            soak = "10m";
          }
        ];
        onBrokenBudget = "revert";
      }
      "How a revision goes across the fleet; see `docs/rollouts.md`.";
}
