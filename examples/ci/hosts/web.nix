{
  imports = [ ./hardware.nix ];

  services.nginx.enable = true;
  services.kedge-agent.checks.nginx = {
    required = true;
    http.url = "http://localhost/";
  };
}
