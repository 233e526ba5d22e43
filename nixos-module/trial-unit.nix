# The unit that judges a trial boot, as a value of systemd.services.<name>. A function without
# nixpkgs, as agent-unit.nix.
#
# What it runs is the proven system's agent, by a link that is there from before such a boot until it
# is judged: whatever is wrong with the system that was booted, its own agent need not work. Where the
# link leads nowhere the booted system's agent settles the deployment, once it runs.
#
# stateDir and runtimeDir are the agent's
{
  stateDir ? "/var/lib/kedge",
  runtimeDir ? "/run/kedge",
}:
let
  link = "${stateDir}/trial";
in
{
  description = "Kedge trial boot: keeps the booted system or goes back";
  # Beside the boot, not in it: nothing waits for this, and it also starts when the boot fails and
  # ends in emergency mode.
  wantedBy = [ "sysinit.target" ];
  # local-fs.target is only waited for: this is what helps if a file system cannot be mounted.
  after = [ "local-fs.target" ];
  before = [ "shutdown.target" ];
  conflicts = [ "shutdown.target" ];

  # No switch may end what may be about to undo it.
  restartIfChanged = false;
  stopIfChanged = false;

  unitConfig = {
    DefaultDependencies = false;
    ConditionPathExists = link;
    RequiresMountsFor = "${stateDir} /nix/store";
    StartLimitIntervalSec = 0;
    X-StopOnRemoval = false;
  };

  # It mostly waits, as agent-unit.nix.
  environment.GOMAXPROCS = "1";
  serviceConfig = {
    Type = "exec";
    ExecStart = "${link} transact --state-dir ${stateDir} --runtime-dir ${runtimeDir}";
    Restart = "on-failure";
    RestartSec = 1;
    TimeoutStopSec = 5;
    OOMScoreAdjust = -900;
    TimerSlackNSec = "10ms";
  };
}
