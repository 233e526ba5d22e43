# Stands in for the flake nixpkgs.
{
  outputs =
    { self }:
    let
      lib = import ./lib.nix;
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs lib.platforms.linux (
        system: import ./pkgs.nix { inherit lib system; }
      );
    };
}
