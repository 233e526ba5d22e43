# The NATS server of somebody else's in the VM tests; what Kedge needs of it is put there before it starts.
{ pkgs, ... }:
let
  inherit (import ./keys.nix { inherit pkgs; }) certificates;
  configuration = pkgs.writeText "nats.conf" ''
    port: 4222
    tls { cert_file: "${certificates}/cert.pem", key_file: "${certificates}/key.pem" }
    include "kedge.conf"
  '';
in
{
  systemd.services.vm-nats = {
    description = "NATS server of the VM tests";
    preStart = "install -m 600 ${configuration} /var/lib/nats/nats.conf";
    serviceConfig = {
      ExecStart = "${pkgs.nats-server}/bin/nats-server --config /var/lib/nats/nats.conf";
      StateDirectory = "nats";
    };
  };
  networking.firewall.allowedTCPPorts = [ 4222 ];
}
