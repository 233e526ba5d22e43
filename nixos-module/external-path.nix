# As types.externalPath, which NixOS 25.05 and older lack. Not a path literal either: Nix would copy
# it into the store, where everybody can read it.
{ lib }:
lib.types.addCheck lib.types.str (
  value: lib.hasPrefix "/" value && !lib.hasPrefix "${builtins.storeDir}/" value
)
// {
  description = "absolute path not in the Nix store";
}
