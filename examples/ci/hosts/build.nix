# The controller. It holds no key that could say what a host runs: it picks among what CI signed.
{
  imports = [ ./hardware.nix ];

  services.kedge-controller = {
    enable = true;
    advertise = [ "wss://build.example.org/nats" ];
    cacheUrls = [ "https://build.example.org/cache/" ];
    openFirewall = true;
    settings = {
      keys = {
        sign_releases = false;
        # As `kedge key generate ci-1` and `nix key generate-secret` made them where CI keeps its secrets.
        release = [ "ci-1:0J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U=" ];
        spare = [ "spare-1:3J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U=" ];
        cache = [
          "ci-cache-1:2J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U="
          "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
        ];
      };
      # Where deploy.sh copies to.
      cache.from = [ "https://ci.example.org/cache/" ];
    };
  };
}
