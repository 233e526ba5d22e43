# services.kedge-monitoring: this host watches a fleet with Prometheus or Grafana. It need be neither the
# controller nor one of the fleet.
{
  config,
  lib,
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
  cfg = config.services.kedge-monitoring;
  mkSwitch =
    description:
    mkOption {
      type = types.bool;
      default = false;
      example = true;
      inherit description;
    };
in
{
  options.services.kedge-monitoring = {
    package = mkPackageOption pkgs "kedge" { };

    alerts = mkSwitch ''
      Whether {option}`services.prometheus` has the alerts of Kedge: on the controller, on each host
      as the controller sees it, and on those agents that are scraped.
    '';

    dashboards = mkSwitch "Whether {option}`services.grafana` has the dashboard of Kedge.";
  };

  config = {
    services.prometheus.ruleFiles = mkIf cfg.alerts [
      "${cfg.package}/share/kedge/alerts/kedge-agent.rules.yml"
      "${cfg.package}/share/kedge/alerts/kedge-controller.rules.yml"
      "${cfg.package}/share/kedge/alerts/kedge-rollouts.rules.yml"
    ];

    services.grafana.provision = mkIf cfg.dashboards {
      enable = true;
      dashboards.settings.providers = [
        {
          name = "kedge";
          options.path = "${cfg.package}/share/kedge/dashboards";
        }
      ];
    };
  };
}
