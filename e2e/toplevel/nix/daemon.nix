# The units of the Nix daemon, as Nix brings and NixOS changes them.
{
  "nix-daemon.socket" = {
    description = "Nix Daemon Socket";
    before = [ "multi-user.target" ];
    wantedBy = [ "sockets.target" ];
    socketConfig.ListenStream = "/nix/var/nix/daemon-socket/socket";
  };
  "nix-daemon.service" = {
    description = "Nix Daemon";
    requires = [ "nix-daemon.socket" ];
    restartIfChanged = false;
    serviceConfig = {
      ExecStart = "@/usr/bin/nix-daemon nix-daemon --daemon";
      KillMode = "process";
      TasksMax = 1048576;
      Delegate = true;
    };
  };
}
