{
  description = "Kedge: NixOS fleets that pull, prove and roll back by themselves";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forAll = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forAll (pkgs: rec {
        kedge = pkgs.callPackage ./nixos-module/package.nix { version = self.shortRev or "dev"; };
        default = kedge;
      });

      overlays.default = final: _: {
        kedge = final.callPackage ./nixos-module/package.nix { version = self.shortRev or "dev"; };
      };

      nixosModules = {
        agent = {
          imports = [ ./nixos-module/agent.nix ];
          nixpkgs.overlays = [ self.overlays.default ];
        };
        controller = {
          imports = [ ./nixos-module/controller.nix ];
          nixpkgs.overlays = [ self.overlays.default ];
        };
      };

      devShells = forAll (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.go
            pkgs.golangci-lint
            pkgs.nats-server
            pkgs.natscli
          ];
        };
      });

      formatter = forAll (pkgs: pkgs.nixfmt);
    };
}
