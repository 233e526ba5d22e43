# mkSystem: a host's options to its toplevel, a system as NixOS makes them, on top of a machine that
# brings its own systemd and tools. Two derivations a host, so that a change is built in no time.
{
  tools, # store path of the stand-ins: bin/{switch-to-configuration,install-bootloader,check-inhibitors}
  system ? "x86_64-linux",
}:
let
  shell = "/bin/sh";
  text = import ./text.nix;
  unit = import ./unit.nix;
  static = import ./static.nix { inherit system shell; };
  scripts = import ./scripts.nix { inherit text tools; };
  inherit (text)
    lines
    quote
    unique
    words
    writeFiles
    ;

  build =
    name: script:
    derivation {
      inherit name system;
      builder = shell;
      args = [
        "-euc"
        script
      ];
      PATH = "/usr/bin:/bin";
    };

  # The files of /etc, with the units among them.
  mkEtc =
    {
      host,
      units,
      etc,
      systemConf,
    }:
    let
      unitFiles = builtins.attrNames units;
      wanted = builtins.concatMap (
        file: map (link: { inherit file link; }) (unit.links file units.${file})
      ) unitFiles;
      folders = unique (map (w: builtins.dirOf w.link) wanted);
      files =
        etc
        // builtins.listToAttrs (
          map (file: {
            name = "systemd/system/${file}";
            value = unit.render file units.${file};
          }) unitFiles
        );
    in
    build "etc-${host}" ''
      dir="$out/etc"
      ${writeFiles ''"$dir"'' files}
      mkdir -p "$dir/systemd/system"
      cd "$dir/systemd/system"
      ln -s ${static.targets}/* .
      ln -s multi-user.target default.target
      ${if folders == [ ] then "" else "mkdir -p ${builtins.concatStringsSep " " (map quote folders)}"}
      ${lines (map (w: "ln -s ${quote "../${w.file}"} ${quote w.link}") wanted)}
      ln -s ${static.systemConf systemConf} ../system.conf
    '';
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
  program = path: ''
    { printf '#!/bin/bash\nsystemConfig=%s\n' "$out"; printf '%s' ${quote programs.${path}}; } > "$out/${path}"
  '';
in
build "nixos-system-${host}-${label}" ''
  ${if buildError == null then "" else "echo ${quote buildError} >&2; exit 1"}
  : ${builtins.concatStringsSep " " (map toString checks)}
  ${if buildWaits == null then "" else "test ! -p ${quote buildWaits} || cat ${quote buildWaits}"}
  mkdir -p "$out/bin" "$out/sw/bin" "$out/specialisation"
  ${writeFiles ''"$out"'' files}
  ${lines (map program (builtins.attrNames programs))}
  cd "$out"
  chmod 0555 ${builtins.concatStringsSep " " (builtins.attrNames programs)}
  printf '{"org.nixos.bootspec.v1":{"init":"%s/init","initrd":"%s","kernel":"%s","kernelParams":%s,"label":"%s","system":"%s","toplevel":"%s"},"org.nixos.specialisation.v1":{}}\n' \
    "$out" ${kernel}/initrd ${kernel}/bzImage ${quote (builtins.toJSON (words kernelParams))} ${quote "NixOS ${label}"} ${system} "$out" > boot.json
  ln -s ${etcTree}/etc etc
  ln -s ${kernel}/bzImage kernel
  ln -s ${kernel}/initrd initrd
  ln -s ${kernel} kernel-modules
  ln -s /usr systemd
  ${lines (
    builtins.attrValues (
      builtins.mapAttrs (
        name: special: "ln -s ${special} ${quote "specialisation/${name}"}"
      ) specialisation
    )
  )}
  ln -s /usr/bin/nix /usr/bin/nix-env /usr/bin/nix-store /usr/bin/systemctl /usr/bin/journalctl ${
    builtins.concatStringsSep " " (map (p: "${p}/bin/*") packages)
  } sw/bin/
''
