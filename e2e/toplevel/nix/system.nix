# mkSystem: a host's options to its toplevel, a system as NixOS makes them, on top of a machine that
# brings its own systemd and tools. Two derivations a host, so that a change is built in no time.
{
  tools, # store path of the stand-ins, the commands beside this folder: bin/switch-to-configuration and so on
  system ? "x86_64-linux",
}:
let
  shell = "/bin/sh";
  text = import ./text.nix;
  unit = import ./unit.nix;
  static = import ./static.nix { inherit system shell; };
  scripts = import ./scripts.nix { inherit text tools; };
  inherit (text) lines words;

  # A derivation that is a folder of files and links, which one process makes (e2e/toplevel/tree).
  build =
    name: tree:
    derivation {
      inherit name system;
      builder = "${tools}/bin/make-tree";
      tree = builtins.toJSON tree;
      passAsFile = [ "tree" ];
    };

  # The attributes by paths below a folder.
  under =
    folder: attrs:
    builtins.listToAttrs (
      map (name: {
        name = "${folder}/${name}";
        value = attrs.${name};
      }) (builtins.attrNames attrs)
    );

  # The files of /etc, with the units among them.
  mkEtc =
    {
      host,
      units,
      etc,
      systemConf,
    }:
    let
      wanted = builtins.concatMap (
        file:
        map (link: {
          name = link;
          value = "../${file}";
        }) (unit.links file units.${file})
      ) (builtins.attrNames units);
    in
    build "etc-${host}" {
      files = under "etc" etc // under "etc/systemd/system" (builtins.mapAttrs unit.render units);
      linkAll."etc/systemd/system" = [ static.targets ];
      links =
        under "etc/systemd/system" (builtins.listToAttrs wanted // { "default.target" = "multi-user.target"; })
        // {
          "etc/systemd/system.conf" = static.systemConf systemConf;
        };
    };
in
{
  host,
  label ? "26.05.stand-in",
  units ? { }, # "x.service" = an attribute set as in systemd.services, or { text = …; }
  etc ? { }, # "kedge/agent.yaml" = text
  activation ? { }, # name = bash; runs after /etc is in place
  preSwitchChecks ? { }, # name = bash
  inhibitors ? { }, # name = value
  switch ? "",
  initInterface ? "systemd 2",
  kernelVersion ? "6.12.1",
  kernel ? static.kernel kernelVersion, # with bzImage and initrd
  kernelParams ? "loglevel=4",
  packages ? [ ], # whose bin/* are in sw/bin
  specialisation ? { }, # name = system
  systemConf ? "", # further lines of [Manager]
  buildError ? null, # makes the build fail with this message
  checks ? [ ], # what must build for the system to build
  buildWaits ? null, # a FIFO that the build reads first, if there is one
}:
let
  etcFiles = {
    os-release = ''
      ID=nixos
      NAME=NixOS
      PRETTY_NAME="NixOS ${label}"
      VERSION_ID="26.05"
    '';
  }
  // etc;
  etcTree = mkEtc {
    inherit host units systemConf;
    etc = etcFiles;
  };

  programs = {
    "activate" = scripts.activate activation;
    "dry-activate" = scripts.dryActivate;
    "init" = scripts.init;
    "pre-switch-checks" = scripts.checks preSwitchChecks;
    "bin/switch-to-configuration" = scripts.switchToConfiguration switch;
  };
  files = {
    "init-interface-version" = initInterface;
    "kernel-params" = kernelParams;
    "nixos-version" = label;
    "switch-inhibitors" = builtins.toJSON inhibitors;
    "system" = system;
    # What of /etc is a link into /etc/static.
    "etc-links" = lines (
      builtins.attrNames etcFiles
      ++ [
        "systemd/system"
        "systemd/system.conf"
        ""
      ]
    );
  };
  # What a program that the system runs begins with. It knows where it lies.
  out = builtins.placeholder "out";
  program = text: "#!/bin/bash\nsystemConfig=${out}\n${text}";

  bootspec = {
    "org.nixos.bootspec.v1" = {
      inherit system;
      init = "${out}/init";
      initrd = "${kernel}/initrd";
      kernel = "${kernel}/bzImage";
      kernelParams = words kernelParams;
      label = "NixOS ${label}";
      toplevel = out;
    };
    "org.nixos.specialisation.v1" = { };
  };
in
build "nixos-system-${host}-${label}" {
  waits = buildWaits;
  fails = buildError;
  checks = map toString checks;
  files = files // {
    "boot.json" = builtins.toJSON bootspec + "\n";
  };
  programs = builtins.mapAttrs (_: program) programs;
  folders = [ "specialisation" ];
  links = {
    etc = "${etcTree}/etc";
    kernel = "${kernel}/bzImage";
    initrd = "${kernel}/initrd";
    kernel-modules = kernel;
    systemd = "/usr";
  }
  // under "specialisation" specialisation
  // under "sw/bin" (
    builtins.listToAttrs (
      map
        (name: {
          inherit name;
          value = "/usr/bin/${name}";
        })
        [
          "nix"
          "nix-env"
          "nix-store"
          "systemctl"
          "journalctl"
        ]
    )
  );
  linkAll."sw/bin" = map (p: "${p}/bin") packages;
}
