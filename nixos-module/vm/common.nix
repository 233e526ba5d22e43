# What every machine of the VM tests has: the options vm, and trust in the tests' authority.
{
  config,
  extendModules,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
in
{
  options.vm = {
    systems = mkOption {
      type = types.lazyAttrsOf types.deferredModule;
      default = { };
      description = ''
        Systems that the test deploys on this machine: what each has besides. /etc/vm-system says
        which one runs.
      '';
    };
    toplevels = mkOption {
      type = types.lazyAttrsOf types.package;
      readOnly = true;
      description = "The same, built.";
    };
  };

  config = {
    vm.toplevels = lib.mapAttrs (
      name: module:
      (extendModules {
        modules = [
          module
          { environment.etc."vm-system".text = lib.mkForce name; }
        ];
      }).config.system.build.toplevel
    ) config.vm.systems;

    environment.etc."vm-system".text = "first";
    security.pki.certificateFiles = [
      "${(import ./keys.nix { inherit pkgs; }).certificates}/ca.pem"
    ];
    # Nothing outside can be reached.
    nix.settings.substituters = lib.mkForce [ ];
    documentation.enable = false;
  };
}
