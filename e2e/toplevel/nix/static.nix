# What systems of the fleet have in common and what is built once: it never depends on a host.
{ system, shell }:
let
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
in
{
  # The targets that NixOS has in /etc/systemd/system too, so that a switch starts them anew and with
  # them what a new system adds. Their text is that of the machine's own systemd.
  targets = build "systemd-targets" ''
    mkdir "$out"
    for name in basic local-fs multi-user network network-online nss-lookup paths remote-fs slices \
        sockets swap sysinit timers; do
      cp -L "/usr/lib/systemd/system/$name.target" "$out/"
    done
    printf '[Unit]\nDescription=Reactivate sysinit units\n' > "$out/sysinit-reactivation.target"
  '';

  # A kernel in three links, of which only the names count; big enough to fill a small /boot.
  kernel =
    version:
    build "linux-${version}" ''
      mkdir -p "$out/lib/modules/${version}"
      for file in bzImage initrd; do
        { printf '%s ${version}\n' "$file"; head -c 65536 /dev/zero; } > "$out/$file"
      done
    '';

  # The content decides over the name: an unchanged one does not make systemd execute itself anew.
  systemConf = text: builtins.toFile "system.conf" "[Manager]\n${text}";
}
