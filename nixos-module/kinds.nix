# Options by their kinds, for settings: with the daemon's default, an example of another value, and what it is.
{ lib }:
let
  inherit (lib) mkOption types;
  inherit (import ./types.nix { inherit lib; }) duration secretFile;
  kind =
    type: default: example: description:
    mkOption {
      inherit
        type
        default
        example
        description
        ;
    };
  mkChoice =
    default: values:
    kind (types.enum values) default (lib.findFirst (value: value != default) default values);
in
{
  inherit mkChoice;

  # How each of the daemons logs.
  log = {
    level = mkChoice "info" [
      "debug"
      "info"
      "warn"
      "error"
    ] "The least level of what is logged.";
    format = mkChoice "auto" [
      "auto"
      "text"
      "json"
    ] "How log lines look.";
  };

  mkDuration = kind duration;
  mkBytes = kind types.ints.unsigned;
  mkNumber = kind types.ints.unsigned;
  mkSwitch = default: kind types.bool default (!default);
  mkText = kind types.str;
  # A file with a secret.
  mkSecret = kind secretFile "";
  mkTexts =
    example: description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit example description;
    };
}
