# services.kedge-agent.checks: conditions of health, as docs/checks.md tells of them.
{ lib }:
let
  inherit (lib) mkOption types;
  inherit (import ./types.nix { inherit lib; }) duration;

  http = types.submodule {
    options = {
      url = mkOption {
        type = types.str;
        example = "https://localhost/health";
        description = "What to GET.";
      };
      status = mkOption {
        type = types.listOf (types.ints.between 100 599);
        default = [ ];
        example = [ 200 ];
        description = "Statuses that pass; none for those from 200 to 399.";
      };
      body = mkOption {
        type = types.str;
        default = "";
        example = "\"status\": *\"ok\"";
        description = "Regular expression that the body must match.";
      };
      headers = mkOption {
        type = types.attrsOf types.str;
        default = { };
        example.Host = "www.example.org";
        description = "Headers of the request. They are in the store, where everybody can read them.";
      };
      caFile = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/etc/ssl/certs/internal.pem";
        description = "Authorities, in PEM, in place of the system's.";
      };
      insecure = mkOption {
        type = types.bool;
        default = false;
        example = true;
        description = "Whether to trust every certificate.";
      };
    };
  };

  check = types.submodule {
    options = {
      unit = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "nginx.service";
        description = "A unit that must be active, by its full name.";
      };
      http = mkOption {
        type = types.nullOr http;
        default = null;
        example.url = "http://localhost:8080/health";
        description = "A request that must be answered as it says.";
      };
      tcp = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "localhost:25";
        description = "Where a connection must be accepted.";
      };
      exec = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = lib.literalExpression ''[ (lib.getExe pkgs.check-replication) "--max-lag" "30s" ]'';
        description = "A program, by its absolute path, with its arguments, that must exit with 0.";
      };
      required = mkOption {
        type = types.bool;
        default = false;
        example = true;
        description = ''
          Whether the check must pass. One that is not required must pass if it did before the
          deployment.
        '';
      };
      startDelay = mkOption {
        type = duration;
        default = "0s";
        example = "20s";
        description = "How long after the activation the first try is made.";
      };
      interval = mkOption {
        type = duration;
        default = "1s";
        example = "5s";
        description = "From the end of a try to the next.";
      };
      timeout = mkOption {
        type = duration;
        default = "5s";
        example = "10s";
        description = "How long one try may take.";
      };
      retries = mkOption {
        type = types.ints.unsigned;
        default = 0;
        example = 3;
        description = ''
          How many tries in a row may fail before the check has failed for good; 0 lets it try until
          the deadline of the probation.
        '';
      };
      successes = mkOption {
        type = types.ints.positive;
        default = 1;
        example = 2;
        description = "How many tries in a row must pass.";
      };
    };
  };

  # As the agent's configuration has it.
  renderHTTP =
    c:
    {
      inherit (c)
        url
        status
        body
        insecure
        ;
      headers = lib.mapAttrsToList (name: value: { inherit name value; }) c.headers;
    }
    // lib.optionalAttrs (c.caFile != null) { ca_file = c.caFile; };

  render =
    name: c:
    {
      inherit name;
      inherit (c)
        exec
        required
        interval
        timeout
        retries
        successes
        ;
      start_delay = c.startDelay;
    }
    // lib.optionalAttrs (c.unit != null) { inherit (c) unit; }
    // lib.optionalAttrs (c.tcp != null) { inherit (c) tcp; }
    // lib.optionalAttrs (c.http != null) { http = renderHTTP c.http; };
in
{
  option = mkOption {
    type = types.attrsOf check;
    default = { };
    example = {
      nginx = {
        unit = "nginx.service";
        required = true;
      };
      web = {
        required = true;
        http = {
          url = "https://localhost/health";
          body = "ok";
        };
      };
      smtp.tcp = "localhost:25";
    };
    description = ''
      Conditions of health that a system must meet while it is on probation, by their names. Each
      has one of `unit`, `http`, `tcp` and `exec`. `docs/checks.md` says when they are tried.
    '';
  };

  rendered = lib.mapAttrsToList render;

  # Those that have none or several of what they could look at, by name.
  wrong =
    checks:
    lib.attrNames (
      lib.filterAttrs (
        _: c:
        lib.count (set: set) [
          (c.unit != null)
          (c.http != null)
          (c.tcp != null)
          (c.exec != [ ])
        ] != 1
      ) checks
    );
}
