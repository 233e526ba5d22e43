{
  description = "A fleet of NixOS hosts for which CI builds and signs, and which Kedge deploys";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.kedge.url = "git+https://git.example.org/kedge"; # wherever you keep it

  # deploy.sh is what CI runs. In what order hosts go is said there, for the controller builds nothing.
  outputs =
    { nixpkgs, kedge, ... }:
    kedge.lib.mkFleet {
      inherit nixpkgs;
      hosts = {
        build = ./hosts/build.nix;
        web1.modules = [
          ./agent.nix
          ./hosts/web.nix
        ];
        web2.modules = [
          ./agent.nix
          ./hosts/web.nix
        ];
      };
    };
}
