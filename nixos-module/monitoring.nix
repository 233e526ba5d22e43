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
  inherit (import ./types.nix { inherit lib; }) page;
  cfg = config.services.kedge-monitoring;
  # Rules as they are shipped, or with what leads to the runbooks.
  rules =
    name:
    let
      shipped = "${cfg.package}/share/kedge/alerts/${name}.rules.yml";
    in
    if cfg.runbooks == null then
      shipped
    else
      pkgs.runCommand "${name}.rules.yml" { } ''
        while IFS= read -r line; do
          case $line in
          *"runbook: docs/runbooks.md#"*) line="''${line%%docs/*}${cfg.runbooks}#''${line#*#}" ;;
          esac
          printf '%s\n' "$line"
        done < ${shipped} > $out
      '';
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

    runbooks = mkOption {
      type = types.nullOr page;
      default = null;
      example = "https://git.example.org/kedge/src/branch/main/docs/runbooks.md";
      description = ''
        Where `docs/runbooks.md` of this repository can be read: the URL of it at your forge, or of
        its page of the static site. The alerts' annotation `runbook` then leads to the section of
        each there; `null` for the path in the repository.
      '';
    };

    dashboards = mkSwitch "Whether {option}`services.grafana` has the dashboard of Kedge.";
  };

  config = {
    services.prometheus.ruleFiles = mkIf cfg.alerts [
      (rules "kedge-agent")
      (rules "kedge-controller")
      (rules "kedge-rollouts")
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
