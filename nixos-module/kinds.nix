# Options by their kinds, for settings: with the daemon's default, and what it is.
{ lib }:
let
  inherit (lib) mkOption types;
  inherit (import ./types.nix { inherit lib; }) duration;
  kind =
    type: default: description:
    mkOption { inherit type default description; };
in
{
  mkDuration = kind duration;
  mkBytes = kind types.ints.unsigned;
  mkNumber = kind types.ints.unsigned;
  mkSwitch = kind types.bool;
  mkText = kind types.str;
  mkChoice = default: values: kind (types.enum values) default;
  mkTexts =
    example: description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit example description;
    };
}
