{
  imports = [ ./hardware.nix ];

  services.postgresql = {
    enable = true;
    settings.max_connections = 100;
  };
  services.kedge-agent = {
    checks.postgresql.unit = "postgresql.service";
    # It reboots at night only, and not together with another.
    settings.policy.reboot_needed = "reboot";
    settings.reboot = {
      windows = [ "02:00-04:00 Europe/Berlin" ];
      lease = true;
    };
  };
}
