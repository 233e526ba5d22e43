{
  description = "A fleet of NixOS hosts that Kedge deploys";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.kedge.url = "git+https://git.example.org/kedge"; # wherever you keep it

  # The outputs nixosConfigurations and kedge; docs/rollouts.md of Kedge has what there is to say in the latter.
  outputs =
    { nixpkgs, kedge, ... }:
    kedge.lib.mkFleet {
      inherit nixpkgs;

      hosts = {
        # The build host: installed and switched in the usual way. With the agent, too, it deploys itself, last.
        build = ./hosts/build.nix;
        web1 = {
          modules = [
            ./agent.nix
            ./hosts/web1.nix
          ];
          tags = [
            "web"
            "canary"
          ];
        };
        web2 = {
          modules = [
            ./agent.nix
            ./hosts/web2.nix
          ];
          tags = [ "web" ];
        };
        db1 = {
          modules = [
            ./agent.nix
            ./hosts/db1.nix
          ];
          tags = [ "db" ];
        };
      };

      # How a revision goes across the fleet; `kedge check` reads it before you push.
      rollout = {
        waves = [
          {
            name = "canary";
            hosts = "tag:canary";
            soak = "10m"; # or until somebody says `kedge rollout promote`
          }
          {
            name = "others";
            hosts = "all";
            maxInFlight = 10;
          }
        ];
        budget.failed = 0; # one host that goes back stops the rollout
      };
    };
}
