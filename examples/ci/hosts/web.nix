{
  imports = [ ./hardware.nix ];

  services.nginx = {
    enable = true;
    virtualHosts.localhost.locations."/".return = "200 'Hello'";
  };
  networking.firewall.allowedTCPPorts = [ 80 ];
  services.kedge-agent.checks.nginx = {
    required = true;
    http.url = "http://localhost/";
  };
}
