{
  description = "What the build host of the VM tests deploys";

  # There is no nixpkgs in a VM. The systems that fleet.json names were built with the test, and are in the
  # store; the build of one makes it anew, as a system that was built here. Each is the same as what it is
  # made of but for its own path.
  outputs =
    _:
    let
      fleet = builtins.fromJSON (builtins.readFile ./fleet.json);

      # A path of the store, as something that a build needs.
      dependency = path: builtins.appendContext path { ${path}.path = true; };
      # A name as long as the other's, so that the path is as long, too.
      nameOf = path: builtins.substring (builtins.stringLength "/nix/store/" + 33) (-1) path;

      rebuilt =
        path:
        derivation {
          name = nameOf path;
          inherit (fleet) system;
          system_path = dependency path;
          builder = "${dependency (builtins.head fleet.tools)}/bin/bash";
          PATH = builtins.concatStringsSep ":" (map (tool: "${dependency tool}/bin") fleet.tools);
          args = [
            "-euc"
            ''
              cp -R "$system_path" "$out"
              chmod -R u+w "$out"
              { grep -rlF "$system_path" "$out" || true; } | while read -r file; do
                sed -i "s|$system_path|$out|g" "$file"
              done
            ''
          ];
        };
    in
    {
      nixosConfigurations = builtins.mapAttrs (_: path: {
        config.system.build.toplevel = rebuilt path;
      }) fleet.toplevels;
      inherit (fleet) kedge;
    };
}
