# Sets of files: lists of paths.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    filter
    readDir
    ;

  # The files below path, which may be one itself, as [ { name; path; } ].
  files =
    path: name: type:
    if type == "directory" then
      let
        entries = readDir path;
      in
      concatMap (entry: files (path + "/${entry}") entry entries.${entry}) (attrNames entries)
    else
      [ { inherit name path; } ];

  below = path: files path (baseNameOf path) (builtins.readFileType path);
in
{
  unions = concatMap below;
  fileFilter = predicate: path: filter predicate (below path);
  difference = from: without: filter (file: !elem file without) from;
  # Not a copy in the store: the names below root.
  toSource =
    { root, fileset }: map (file: lib.removePrefix "${toString root}/" (toString file.path)) fileset;
}
