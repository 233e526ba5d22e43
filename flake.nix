{
  description = "Kedge: NixOS fleets that pull, prove and roll back by themselves";

  # Where the tests run there is no nixpkgs: they evaluate this flake and the modules against
  # nixos-module/tests, which stands in for it. Nothing here was built with nixpkgs by them.

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

      # Whole NixOS machines: they need KVM; see docs/vm-tests.md.
      machines =
        pkgs:
        import ./nixos-module/vm {
          inherit pkgs;
          modules = self.nixosModules;
          agent = self.packages.${pkgs.stdenv.hostPlatform.system}.kedge-agent;
        };

      # The module of a service with a package of this flake: built with its own nixpkgs, whose Go is new
      # enough, whatever nixpkgs the host is made of.
      module =
        name: package:
        { lib, pkgs, ... }:
        {
          key = "kedge-${name}"; # so that it may be imported twice
          imports = [ ./nixos-module/${name}.nix ];
          services."kedge-${name}".package =
            lib.mkDefault
              self.packages.${pkgs.stdenv.hostPlatform.system}.${package};
        };
    in
    {
      packages = forAll (pkgs: rec {
        inherit (self.overlays.default pkgs pkgs) kedge;
        kedge-agent = kedge.agent // {
          meta = kedge.meta // {
            mainProgram = "kedge-agent";
          };
        };
        default = kedge;
      });

      overlays.default = final: _: {
        kedge = final.callPackage ./nixos-module/package.nix {
          version = self.shortRev or self.dirtyShortRev or "dev";
        };
      };

      nixosModules = {
        agent = module "agent" "kedge-agent";
        controller = module "controller" "kedge";
        monitoring = module "monitoring" "kedge";
        default.imports = [
          self.nixosModules.agent
          self.nixosModules.controller
          self.nixosModules.monitoring
        ];
      };

      # A fleet's outputs from one description of its hosts; see docs/rollouts.md.
      lib.mkFleet = import ./nixos-module/fleet {
        inherit lib;
        inherit (lib) nixosSystem;
        modules = [ self.nixosModules.default ];
      };

      templates = {
        default = {
          path = ./examples/fleet;
          description = "A fleet with a build host, waves, checks and a reboot window";
        };
        ci = {
          path = ./examples/ci;
          description = "A fleet for which CI builds, and signs with keys of its own";
        };
      };

      checks = forAll (pkgs: removeAttrs (machines pkgs) [ "demo" ]);

      apps = forAll (pkgs: {
        demo =
          let
            inherit (machines pkgs) demo;
            program = pkgs.writeShellScript "kedge-demo" ''
              case "$*" in
              "") exec ${demo.driver}/bin/nixos-test-driver ;;
              --interactive) exec ${demo.driverInteractive}/bin/nixos-test-driver ;;
              esac
              echo "usage: nix run .#demo [-- --interactive]" >&2
              exit 2
            '';
          in
          {
            type = "app";
            program = "${program}";
            meta.description = "A build host and two hosts, in virtual machines: pushes, one that fails, a power cut";
          };
      });

      devShells = forAll (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.go
            pkgs.golangci-lint
            pkgs.nats-server
            pkgs.natscli
            pkgs.curl
            pkgs.gnupg
            pkgs.jq
            pkgs.nixfmt
          ];
        };
      });

      formatter = forAll (pkgs: pkgs.nixfmt-tree);
    };
}
