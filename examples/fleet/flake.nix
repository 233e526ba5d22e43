{
  description = "A fleet of NixOS hosts that Kedge deploys";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.kedge.url = "git+https://git.example.org/kedge"; # wherever you keep it

  outputs =
    {
      self,
      nixpkgs,
      kedge,
    }:
    let
      host =
        name: modules:
        nixpkgs.lib.nixosSystem {
          modules = [
            { networking.hostName = name; }
            ./hosts/${name}.nix
          ]
          ++ modules;
        };
      managed = [
        kedge.nixosModules.agent
        ./agent.nix
      ];
    in
    {
      nixosConfigurations = {
        # The build host: installed once in the usual way. With the agent, too, it deploys itself, last.
        build = host "build" [ kedge.nixosModules.controller ];
        web1 = host "web1" managed;
        web2 = host "web2" managed;
        db1 = host "db1" managed;
      };

      # How a revision goes across the fleet; `kedge check` reads it before you push.
      kedge = {
        hosts = {
          web1.tags = [
            "web"
            "canary"
          ];
          web2.tags = [ "web" ];
          db1.tags = [ "db" ];
        };
        rollout = {
          waves = [
            {
              name = "canary";
              hosts = "tag:canary";
              soak = "10m";
            }
            {
              name = "web";
              hosts = "tag:web";
              maxInFlight = "50%";
            }
            {
              name = "db";
              hosts = "tag:db";
              maxInFlight = 1;
            }
          ];
          budget.failed = 0; # one host that goes back stops the rollout
        };
      };
    };
}
