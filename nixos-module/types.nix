# Types of options beyond those of nixpkgs.
{ lib }:
let
  inherit (lib) types;
  text = description: pattern: types.strMatching pattern // { inherit description; };
in
{
  # As types.externalPath, which NixOS 25.05 and older lack. Not a path literal either: Nix would copy
  # it into the store, where everybody can read it.
  externalPath =
    types.addCheck types.str (
      value: lib.hasPrefix "/" value && !lib.hasPrefix "${builtins.storeDir}/" value
    )
    // {
      description = "absolute path not in the Nix store";
    };

  # As externalPath, or none.
  secretFile =
    types.addCheck types.str (
      value: value == "" || lib.hasPrefix "/" value && !lib.hasPrefix "${builtins.storeDir}/" value
    )
    // {
      description = "absolute path not in the Nix store, or empty";
    };

  duration = text "duration such as 90s, 5m or 2h30m" "([0-9]+([.][0-9]+)?(ms|s|m|h))+";
  publicKey = text "public key as Nix writes it, name:base64" "[^: ]+:[A-Za-z0-9+/]{43}=";
  machineId = text "machine ID, 32 digits of 0-9a-f" "[0-9a-f]{32}";
  page = text "http or https URL" "https?://[A-Za-z0-9.:/?&=_~%+-]+";
  pin = text "pin of a key, sha256:base64" "sha256:[A-Za-z0-9+/]{43}=";
}
