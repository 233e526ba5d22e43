# What every host of the fleet that Kedge deploys has.
{
  services.kedge-agent = {
    enable = true;
    servers = [ "wss://build.example.org/nats" ];
    # As `kedge host add` prints them on the build host.
    pins = [ "sha256:0J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U=" ];
    trust = {
      releaseKeys = [ "kedge-build-release-1:0J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U=" ];
      controllerKeys = [ "kedge-build-controller-1:1J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U=" ];
      cacheKeys = [
        "kedge-build-cache-1:2J3vRzQ0vVw8o2lE8W3i5HmVv5S2YxGm3T0aX1q7b9U="
        "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
      ];
    };
    caches = [ "https://cache.nixos.org" ];
    # Placed there with sops-nix, agenix or `kedge-agent enroll`.
    credentialsFile = "/var/lib/kedge/host.creds";
    # Where a host that was off for longer than its credentials last gets new ones.
    settings.nats.renew_urls = [ "https://build.example.org/enroll" ];
    checks.sshd = {
      unit = "sshd.service";
      required = true;
    };
  };
}
