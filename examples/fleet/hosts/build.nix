{
  imports = [ ./hardware.nix ];

  services.kedge-controller = {
    enable = true;
    sources.main = {
      url = "/srv/git/fleet.git"; # this flake
      hosts = "not build"; # it has no agent
    };
    advertise = [ "wss://build.example.org/nats" ];
    cacheUrls = [ "https://build.example.org/cache/" ];
    openFirewall = true;
  };
}
