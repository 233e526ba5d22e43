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
  };
}
