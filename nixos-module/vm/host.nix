# A host of the VM tests: the agent, and a boot loader on a disk of its own.
{
  lib,
  pkgs,
  ...
}:
{
  services.kedge-agent = {
    enable = true;
    servers = lib.mkDefault [ "wss://build/nats" ];
    credentialsFile = "/var/lib/kedge/host.creds";
    inherit (import ./keys.nix { inherit pkgs; }) trust;
    settings.probation.deadline = "3m";
  };

  boot.loader.systemd-boot.enable = true;
  boot.loader.efi.canTouchEfiVariables = true;
  boot.loader.timeout = 0;
  # The image is no larger than what is on it.
  boot.growPartition = true;
  virtualisation = {
    useBootLoader = true;
    useEFIBoot = true;
    memorySize = 1536;
    diskSize = 8192;
    fileSystems."/".autoResize = true;
  };
  system.switch.enable = true;
}
