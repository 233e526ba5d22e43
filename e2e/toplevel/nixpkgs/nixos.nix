# What a test host has of NixOS: the toplevel, and services that stand in for those of the examples.
# They answer HTTP requests, so that a change of theirs can be seen.
{
  config,
  lib,
  pkgs,
  tools,
  ...
}:
let
  inherit (lib) mkForce mkIf;
  inherit (config) services;
  mkSystem = import ./system/system.nix { inherit tools; };

  answering = description: port: text: {
    inherit description;
    wantedBy = [ "multi-user.target" ];
    after = [ "network.target" ];
    environment.APP_TEXT = text;
    serviceConfig = {
      Type = "notify";
      ExecStart = "${tools}/bin/app --listen :${toString port}";
    };
  };

  # Of "200 'text'", as nginx would answer at /.
  returned = host: builtins.head (builtins.match "200 '(.*)'" host.locations."/".return);

  unitsOf =
    kind: units:
    builtins.listToAttrs (
      lib.mapAttrsToList (name: value: {
        name = "${name}.${kind}";
        inherit value;
      }) units
    );
in
{
  config = {
    systemd.services = {
      nginx = mkIf services.nginx.enable (
        answering "Nginx Web Server" 80 (
          lib.concatStrings (map returned (lib.attrValues services.nginx.virtualHosts))
        )
      );
      postgresql = mkIf services.postgresql.enable (
        answering "PostgreSQL Server" 5432 (
          lib.concatStringsSep "\n" (
            lib.mapAttrsToList (name: value: "${name} = ${toString value}") services.postgresql.settings
          )
        )
      );
      sshd = mkIf services.openssh.enable {
        description = "SSH Daemon";
        wantedBy = [ "multi-user.target" ];
        serviceConfig = {
          Type = "notify";
          ExecStart = "/usr/sbin/sshd -D";
          RuntimeDirectory = "sshd";
        };
      };
    };

    system.build.toplevel = mkForce (mkSystem {
      host = config.networking.hostName;
      inherit (config.system) checks;
      packages = config.environment.systemPackages;
      etc = builtins.mapAttrs (
        _: file: file.text or (builtins.readFile file.source)
      ) config.environment.etc;
      units =
        import ./system/daemon.nix
        // unitsOf "service" config.systemd.services
        // unitsOf "target.d/overrides.conf" config.systemd.targets;
    });
  };
}
