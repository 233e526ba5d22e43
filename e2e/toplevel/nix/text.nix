# Text, also for shells.
{
  # One word of a shell command.
  quote = s: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString s)}'";

  lines = builtins.concatStringsSep "\n";

  # What is between the spaces of a text.
  words = s: builtins.filter (w: builtins.isString w && w != "") (builtins.split " " s);
}
