# The flake's outputs, from what the test wrote into hosts.json.
{
  tools ? "",
  hosts ? { },
  noConfigurations ? false,
  kedge ? null,
}:
let
  # A store path that was put into the store by other means; it must be there when it is used.
  stored = path: builtins.appendContext path { ${path}.path = true; };

  mkSystem = import ./lib/system.nix { tools = stored tools; };

  appUnit =
    {
      text,
      port ? 8090,
    }:
    {
      description = "Answers with its revision";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      environment.APP_TEXT = text;
      serviceConfig = {
        Type = "notify";
        ExecStart = "${stored tools}/bin/app --listen :${toString port}";
      };
    };

  toplevel =
    name:
    {
      agent ? null,
      agentConfig ? "",
      app ? null,
      units ? { },
      etc ? { },
      kernel ? null,
      packages ? [ ],
      specialisation ? { },
      evalError ? null,
      notASystem ? false,
      ...
    }@host:
    let
      agentPackage = stored agent;
      options = removeAttrs host [
        "agent"
        "agentConfig"
        "app"
        "evalError"
        "notASystem"
      ];
    in
    if evalError != null then
      throw evalError
    else if notASystem then
      derivation {
        name = "not-a-system";
        system = "x86_64-linux";
        builder = "/bin/sh";
        PATH = "/usr/bin:/bin";
        args = [
          "-c"
          "mkdir $out && echo ${name} > $out/README"
        ];
      }
    else
      mkSystem (
        options
        // (if kernel == null then { } else { kernel = stored kernel; })
        // {
          host = name;
          specialisation = builtins.mapAttrs (_: toplevel name) specialisation;
          packages = map stored packages ++ (if agent == null then [ ] else [ agentPackage ]);
          units =
            (if app == null then { } else { "app.service" = appUnit app; })
            // (
              if agent == null then
                { }
              else
                import ./lib/daemon.nix
                // {
                  "kedge-agent.service" = import ./lib/agent-unit.nix { package = agentPackage; };
                  "kedge-trial.service" = import ./lib/trial-unit.nix { };
                  "boot-complete.target.d/overrides.conf" = import ./lib/boot-complete.nix { };
                }
            )
            // units;
          etc = (if agent == null then { } else { "kedge/agent.yaml" = agentConfig; }) // etc;
        }
      );
in
if noConfigurations then
  { }
else
  {
    nixosConfigurations = builtins.mapAttrs (name: host: {
      config.networking.hostName = name;
      config.system.build.toplevel = toplevel name host;
    }) hosts;
  }
  // (if kedge == null then { } else { inherit kedge; })
