# Stands in for the flake nixpkgs where hosts shall run what is made with it. Beside it are, when it is
# written, the lib, packages and options that Kedge's modules are tested with (stand-in), the systems of
# test hosts (system), and built.json, the store paths of what was built before: what Go programs
# become is among it.
{
  outputs =
    { self }:
    let
      lib = import ./stand-in/lib.nix;
      # A store path that was put into the store by other means; it must be there when it is used.
      built = builtins.mapAttrs (_: path: builtins.appendContext path { ${path}.path = true; }) (
        builtins.fromJSON (builtins.readFile ./built.json)
      );
      package = outPath: {
        type = "derivation";
        name = "kedge";
        inherit outPath;
      };
      pkgs = import ./stand-in/pkgs.nix {
        inherit lib;
        buildGoModule = _: package built.programs // { agent = package built.agent; };
      };
      nixosSystem =
        {
          modules,
          specialArgs ? { },
        }:
        lib.evalModules {
          modules = [
            ./stand-in/nixos.nix
            ./nixos.nix
          ]
          ++ modules;
          specialArgs = specialArgs // {
            inherit pkgs;
            inherit (built) tools;
          };
        };
    in
    {
      lib = lib // {
        inherit nixosSystem;
      };
      legacyPackages.x86_64-linux = pkgs;
    };
}
