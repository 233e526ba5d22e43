# Text for shells and for folders of files.
rec {
  # One word of a shell command.
  quote = s: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString s)}'";

  lines = builtins.concatStringsSep "\n";

  # What is between the spaces of a text.
  words = s: builtins.filter (w: builtins.isString w && w != "") (builtins.split " " s);

  unique =
    list:
    builtins.attrNames (
      builtins.listToAttrs (
        map (name: {
          inherit name;
          value = null;
        }) list
      )
    );

  # Shell commands that write files, an attribute set of path = text, below the folder dir, a shell
  # word. Nothing is forked but one mkdir.
  writeFiles =
    dir: files:
    let
      folders = unique (map (path: builtins.dirOf path) (builtins.attrNames files));
      write = path: "printf '%s' ${quote files.${path}} > ${dir}/${quote path}";
    in
    lines (
      [ "mkdir -p ${builtins.concatStringsSep " " (map (f: "${dir}/${quote f}") folders)}" ]
      ++ map write (builtins.attrNames files)
    );
}
