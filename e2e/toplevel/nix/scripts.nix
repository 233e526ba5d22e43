# The programs of a toplevel. Each begins with the line systemConfig=<toplevel>, put before it when
# the system is built; bash runs them, as on NixOS.
{ text, tools }:
let
  inherit (text) lines quote;

  # As in NixOS, a snippet that fails is remembered and the next one runs.
  snippet = name: body: ''
    #### Activation script snippet ${name}:
    _localstatus=0
    ${body}

    if (( _localstatus > 0 )); then
      printf "Activation script snippet '%s' failed (%s)\n" ${quote name} "$_localstatus"
    fi
  '';

  check = name: body: ''
    # pre-switch check ${name}
    (
      ${body}
    )
    if [[ $? != 0 ]]; then
      echo "Pre-switch check '${name}' failed" >&2
      exit 1
    fi
  '';

  each = f: attrs: lines (builtins.attrValues (builtins.mapAttrs f attrs));
in
{
  activate = snippets: ''
    export PATH=/usr/sbin:/usr/bin:/sbin:/bin
    _status=0
    trap "_status=1 _localstatus=\$?" ERR
    umask 0022

    #### Activation script snippet etc:
    _localstatus=0
    # Debian's own folder is no link: keep it aside, once.
    if [[ ! -L /etc/systemd/system && -d /etc/systemd/system ]]; then
      mv -T /etc/systemd/system /etc/systemd/system.debian
    fi
    ${tools}/bin/setup-etc "$systemConfig"
    : >> /etc/NIXOS

    ${each snippet snippets}

    # Make this configuration the current configuration.
    ln -sfn "$(readlink -f "$systemConfig")" /run/current-system
    # Prevent the current configuration from being garbage-collected.
    ln -sfn /run/current-system /nix/var/nix/gcroots/current-system

    exit $_status
  '';

  dryActivate = ''
    :
  '';

  checks = fragments: ''
    incoming="''${1-}"
    action="''${2-}"
    ${each check (
      fragments
      // {
        switchInhibitors = ''
          if [[ "$action" == boot ]]; then
            exit 0
          fi
          ${tools}/bin/check-inhibitors /run/current-system/switch-inhibitors "$incoming/switch-inhibitors"
        '';
      }
    )}
  '';

  # Stage 2: what PID 1 runs first. The root file system is there and writable.
  init = ''
    export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin
    echo "<<< NixOS Stage 2 >>>"

    [[ -e /proc/1 ]] || mount -t proc proc /proc
    [[ -e /sys/kernel ]] || mount -t sysfs sysfs /sys
    mountpoint -q /run || mount -t tmpfs -o mode=0755 tmpfs /run
    mkdir -p /run/lock /nix/var/nix/gcroots

    # Only Nix writes to the store: it makes it writable for itself.
    mount --bind /nix/store /nix/store
    mount -o remount,ro,bind /nix/store
    rm -rf /nix/var/nix/gcroots/tmp /nix/var/nix/temproots

    echo "running activation script..."
    "$systemConfig/activate"

    # Record the boot configuration.
    ln -sfn "$systemConfig" /run/booted-system
    ln -sfn /run/booted-system /nix/var/nix/gcroots/booted-system

    echo "starting systemd..."
    exec /run/current-system/systemd/lib/systemd/systemd "$@"
  '';

  # As makeWrapper's: the caller cannot override any of these.
  switchToConfiguration = first: ''
    export OUT="$systemConfig"
    export TOPLEVEL="$systemConfig"
    export DISTRO_ID=nixos
    export INSTALL_BOOTLOADER=${tools}/bin/install-bootloader
    export PRE_SWITCH_CHECK="$systemConfig/pre-switch-checks"
    export LOCALE_ARCHIVE=/run/current-system/sw/lib/locale/locale-archive
    export SYSTEMD=/usr
    real=${tools}/bin/switch-to-configuration
    ${first}
    exec "$real" "$@"
  '';
}
