# Stands in for nixpkgs' lib where that cannot be had: what flake.nix, package.nix and the modules use
# of it, with the same meaning.
let
  inherit (builtins)
    filter
    isString
    listToAttrs
    stringLength
    substring
    ;

  lib = rec {
    types = import ./types.nix { inherit lib; };
    fileset = import ./fileset.nix { inherit lib; };
    inherit (import ./modules.nix { inherit lib; })
      evalModules
      fill
      mergeOption
      mkDefault
      mkForce
      mkIf
      mkOverride
      pushDown
      showOption
      ;

    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
    literalMD = text: {
      _type = "literalMD";
      inherit text;
    };
    mkOption = attrs: attrs // { _type = "option"; };
    inherit (types) mkOptionType;
    mkEnableOption =
      name:
      mkOption {
        type = types.bool;
        default = false;
        example = true;
        description = "Whether to enable ${name}.";
      };
    mkPackageOption =
      pkgs: path: _:
      let
        names = if isString path then [ path ] else path;
      in
      mkOption {
        type = types.package;
        default = builtins.foldl' (set: name: set.${name}) pkgs names;
        defaultText = literalExpression (builtins.concatStringsSep "." ([ "pkgs" ] ++ names));
        description = "The ${builtins.elemAt names (builtins.length names - 1)} package to use.";
      };

    genAttrs =
      names: f:
      listToAttrs (
        map (name: {
          inherit name;
          value = f name;
        }) names
      );
    inherit (builtins)
      any
      attrNames
      attrValues
      concatLists
      concatMap
      concatStringsSep
      elem
      filter
      mapAttrs
      ;
    concatStrings = concatStringsSep "";
    count = wanted: list: builtins.length (filter wanted list);
    filterAttrs =
      wanted: set: removeAttrs set (filter (name: !wanted name set.${name}) (attrNames set));
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    optionalAttrs = condition: attrs: if condition then attrs else { };
    optionalString = condition: text: if condition then text else "";
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: list: if condition then list else [ ];
    findFirst =
      wanted: default: list:
      let
        found = filter wanted list;
      in
      if found == [ ] then default else builtins.head found;
    unique = builtins.foldl' (
      all: value: if builtins.elem value all then all else all ++ [ value ]
    ) [ ];
    last = list: builtins.elemAt list (builtins.length list - 1);

    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    hasSuffix =
      suffix: text:
      let
        start = stringLength text - stringLength suffix;
      in
      start >= 0 && substring start (-1) text == suffix;
    removePrefix =
      prefix: text: if hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
    splitString = separator: text: filter isString (builtins.split "[${separator}]" text);
    toInt = builtins.fromJSON;
    fileContents = file: builtins.replaceStrings [ "\n" ] [ "" ] (builtins.readFile file);
    getExe' = package: name: "${package}/bin/${name}";

    licenses.mit.spdxId = "MIT";
    platforms.linux = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
in
lib
