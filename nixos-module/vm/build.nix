# A build host of the VM tests. Its repository is /srv/git/fleet.git, and /root/fleet a clone to push from.
{
  config,
  lib,
  nodes,
  pkgs,
  ...
}:
let
  keys = import ./keys.nix { inherit pkgs; };
  state = "/var/lib/kedge-controller";
in
{
  options.vm.deploys = lib.mkOption {
    type = lib.types.listOf lib.types.str;
    description = "The machines whose systems it deploys.";
  };

  config = {
    services.kedge-controller = {
      enable = true;
      sources.main.url = "/srv/git/fleet.git";
      advertise = lib.mkDefault [ "wss://build/nats" ];
      cacheUrls = lib.mkDefault [ "https://build/cache/" ];
      openFirewall = true;
      tls = {
        certificateFile = "/var/lib/vm/cert.pem";
        keyFile = "/var/lib/vm/key.pem";
      };
    };

    systemd.services.vm-setup = {
      description = "Keys and repositories of the VM tests";
      wantedBy = [ "multi-user.target" ];
      requiredBy = [ "kedge-controller.service" ];
      before = [ "kedge-controller.service" ];
      path = [ pkgs.git ];
      environment.HOME = "/root";
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
      };
      script = ''
        install -d -m 700 ${state} ${state}/keys /var/lib/vm
        install -m 600 -t ${state}/keys ${keys.secrets}/*
        install -m 600 -t /var/lib/vm ${keys.certificates}/*.pem
        [ -e /srv/git/fleet.git ] || git init --quiet --bare -b main /srv/git/fleet.git
        [ -e /root/fleet ] || git init --quiet -b main /root/fleet
        install -m 644 ${./fleet/flake.nix} /root/fleet/flake.nix
        git config --global user.name 'VM tests'
        git config --global user.email tests@build
      '';
    };

    # In its store, so that nothing has to be built but what fleet/flake.nix makes of them.
    system.extraDependencies =
      lib.concatMap (name: lib.attrValues nodes.${name}.vm.toplevels) config.vm.deploys
      ++ import ./tools.nix { inherit pkgs; };
    environment.systemPackages = [
      pkgs.git
      pkgs.jq
    ];
    virtualisation = {
      memorySize = 3072;
      diskSize = 16384;
      writableStoreUseTmpfs = false;
      cores = 2;
    };
  };
}
