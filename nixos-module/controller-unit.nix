# The unit of kedge-controller, as a value of systemd.services.<name>. A function without nixpkgs, so
# that the module and the build host of the tests have the very same unit.
#
# package      what has bin/kedge-controller
# configFile   the controller's configuration
{
  package,
  configFile ? "/etc/kedge/controller.yaml",
}:
{
  description = "Kedge controller: builds and publishes what the hosts of the fleet run";
  wantedBy = [ "multi-user.target" ];
  wants = [ "network.target" ];
  after = [ "network.target" ];

  unitConfig.StartLimitIntervalSec = 0;

  serviceConfig = {
    Type = "notify";
    ExecStart = "${package}/bin/kedge-controller run --config ${configFile}";
    Restart = "always";
    RestartSec = 2;
    # The embedded NATS server says good-bye to its clients first.
    TimeoutStopSec = 30;

    StateDirectory = "kedge-controller";
    StateDirectoryMode = "0700";
    UMask = "0077";
    # A build that the kernel ends, for want of memory, fails; the controller goes on.
    OOMPolicy = "continue";
    # Of hosts that are connected; the NATS server takes 131,072.
    LimitNOFILE = 262144;

    # docs/hardening.md says why it is this, and no more: builds run in here.
    # What neither the controller nor anything that it runs has a use for.
    CapabilityBoundingSet = "~CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_BOOT CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_AUDIT_WRITE CAP_BPF CAP_PERFMON CAP_SYS_PACCT CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_SYSLOG CAP_SYS_TTY_CONFIG CAP_LINUX_IMMUTABLE CAP_LEASE CAP_NET_RAW CAP_NET_BROADCAST CAP_IPC_OWNER CAP_CHECKPOINT_RESTORE";
    NoNewPrivileges = true;
    RestrictRealtime = true;
    ProtectKernelModules = true;
    ProtectSystem = true;
    # A build gets the very same error without this.
    SystemCallFilter = "~@module @swap kexec_load kexec_file_load";
    SystemCallErrorNumber = "EPERM";
    LimitCORE = 0; # it holds keys
    PrivateTmp = true;
    PrivateMounts = true;
  };
}
