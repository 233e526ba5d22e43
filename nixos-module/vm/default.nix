# Tests on NixOS in virtual machines, for the flake's checks, and the demo: real systems, boot loaders and
# reboots. They need nixpkgs and KVM; docs/vm-tests.md says how to run one, and what is known without.
#
# pkgs      nixpkgs'
# modules   those of the flake
# agent     the package of the agent
{
  pkgs,
  modules,
  agent,
}:
let
  inherit (pkgs) lib;

  mkTest =
    name: nodes:
    pkgs.testers.runNixOSTest {
      name = "kedge-${name}";
      defaults.imports = [
        modules.default
        ./common.nix
      ];
      inherit nodes;
      globalTimeout = 90 * 60;
      testScript =
        { nodes, ... }:
        lib.concatStrings [
          "SYSTEMS = ${builtins.toJSON (lib.mapAttrs (_: node: node.vm.toplevels) nodes)}\n"
          "SYSTEM = ${builtins.toJSON pkgs.stdenv.hostPlatform.system}\n"
          "TOOLS = ${builtins.toJSON (import ./tools.nix { inherit pkgs; })}\n"
          (builtins.readFile ./driver.py)
          (builtins.readFile (./. + "/${name}.py"))
        ];
    };

  # A build host for hosts, each given as the systems that it gets, and what it has besides.
  fleet =
    hosts:
    {
      build = {
        imports = [ ./build.nix ];
        vm.deploys = lib.attrNames hosts;
      };
    }
    // lib.mapAttrs (_: host) hosts;

  host =
    {
      systems,
      also ? { },
    }:
    {
      imports = [
        ./host.nix
        also
      ];
      vm = { inherit systems; };
    };

  plain = {
    good = { };
    better = { };
  };
  fails.systemd.services.broken = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig.Type = "oneshot";
    script = "exit 1";
  };

  # So that there is time for something to happen in the middle.
  slow.systemd.services.slow = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig.Type = "oneshot";
    serviceConfig.RemainAfterExit = true;
    script = "sleep 60";
  };

  member = {
    imports = [ ./build.nix ];
    vm.deploys = [ "web1" ];
    services.kedge-controller = {
      advertise = [ "tls://nats:4222" ];
      cacheUrls = [
        "https://build1/cache/"
        "https://build2/cache/"
      ];
      settings = {
        nats.url = "tls://nats:4222";
        ha.enabled = true;
      };
    };
    # NATS first.
    systemd.services.kedge-controller.wantedBy = lib.mkForce [ ];
  };
in
lib.mapAttrs mkTest {
  demo = fleet {
    web1.systems = {
      inherit (plain) good better;
      inherit slow;
    };
    web2.systems = {
      inherit (plain) good;
      broken = fails;
    };
  };

  converge = fleet {
    web1.systems = plain;
    web2.systems = plain;
  };

  rollback = fleet {
    web1.systems = plain // {
      broken = fails;
      unwell.services.kedge-agent.checks.unwell = {
        required = true;
        exec = [ "/run/current-system/sw/bin/false" ];
      };
      mute.services.kedge-agent.servers = [ "wss://build:4/nats" ];
      inherit slow;
    };
  };

  trial-boot = fleet {
    web1 = {
      also.services.kedge-agent.settings = {
        policy.reboot_needed = "reboot";
        reboot.require_protection = true;
      };
      systems = {
        good.boot.kernelParams = [ "vm.trial=good" ];
        # No initrd to run, and no root file system without one.
        panics.boot.kernelParams = [
          "panic=5"
          "rdinit=/nowhere"
        ];
        broken = {
          imports = [ fails ];
          boot.kernelParams = [ "vm.trial=broken" ];
        };
      };
    };
  };

  new-agent = fleet {
    web1.systems = {
      newer.services.kedge-agent.package = pkgs.runCommand "kedge-agent-newer" { } "cp -R ${agent} $out";
      crashing.services.kedge-agent.package = pkgs.writeShellScriptBin "kedge-agent" ''
        [ "$1" != run ] || exit 1
        exec ${agent}/bin/kedge-agent "$@"
      '';
    };
  };

  controller-restart = fleet {
    web1.systems = plain;
    web2.systems = plain;
  };

  two-controllers = {
    nats = import ./nats.nix;
    build1 = member;
    build2 = member;
    web1 = {
      imports = [ (host { systems = plain; }) ];
      services.kedge-agent.servers = [ "tls://nats:4222" ];
    };
  };
}
