# The unit of kedge-agent, as a value of systemd.services.<name>. A function without nixpkgs, so that
# the module and the toplevels of the test hosts have the very same unit.
#
# package      what has bin/kedge-agent
# configFile   the agent's configuration; a fixed path, so that another configuration alone leaves
#              the unit as it is
{
  package,
  configFile ? "/etc/kedge/agent.yaml",
}:
{
  description = "Kedge agent: keeps this host on the system published for it";
  wantedBy = [ "multi-user.target" ];
  # Not network-online.target: the agent connects again and again by itself, and settles what is
  # unfinished on the disk without any network.
  wants = [ "network.target" ];
  after = [ "network.target" ];

  # The switch that brings another agent is run by a transaction that this agent started. It must
  # neither stop nor restart the agent; the transaction does that when it is time. After a switch by
  # hand the agent ends by itself, to be started with what it is given now (agent/start.go).
  restartIfChanged = false;
  stopIfChanged = false;

  unitConfig = {
    X-StopOnRemoval = false;
    StartLimitIntervalSec = 0;
  };

  # It mostly waits: waking other threads would be as much work as what they are woken for.
  environment.GOMAXPROCS = "1";

  serviceConfig = {
    Type = "notify";
    ExecStart = "${package}/bin/kedge-agent run --config ${configFile}";
    Restart = "always";
    RestartSec = 2;
    # The agent ends what it started itself; what is left after that is killed.
    KillMode = "mixed";
    TimeoutStopSec = 30;
    OOMScoreAdjust = -500;
    # Go's runtime looks after itself every 20 µs while anything runs, which is most of what a
    # program does that mostly waits; at most every 10 ms while nothing does.
    TimerSlackNSec = "10ms";

    StateDirectory = "kedge";
    StateDirectoryMode = "0700";
    RuntimeDirectory = "kedge";
    # For the group that may use the status socket in it; everything else in it is root's alone.
    RuntimeDirectoryMode = "0711";
    RuntimeDirectoryPreserve = true;
    UMask = "0077";

    # docs/hardening.md says why it is this, and no more: Nix and hooks run in here. A transaction
    # inherits nothing of it.
    CapabilityBoundingSet = "~CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_BOOT CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_BPF CAP_PERFMON CAP_SYS_PACCT CAP_WAKE_ALARM CAP_BLOCK_SUSPEND";
    LockPersonality = true;
    RestrictRealtime = true;
    LimitCORE = 0; # it holds keys
  };
}
