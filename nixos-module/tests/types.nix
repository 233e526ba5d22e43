# Types of options: what they let in, how they merge, and the options that are below them, if any, with
# what is between: sub = { path; options; }.
{ lib }:
let
  inherit (builtins)
    all
    any
    attrNames
    concatMap
    filter
    head
    isAttrs
    isList
    isString
    ;
  inherit (lib)
    mergeOption
    pushDown
    showOption
    ;

  # All definitions say the same.
  equal =
    path: values:
    if all (value: value == head values) values then
      head values
    else
      throw "The option `${showOption path}' has conflicting definition values.";

  leaf = description: check: {
    inherit description check;
    merge = equal;
  };

  subAt =
    path: type:
    lib.optionalAttrs (type ? sub) {
      sub = type.sub // {
        path = path ++ type.sub.path;
      };
    };
  inParentheses = type: if type ? composed then "(${type.description})" else type.description;

  isDerivation = value: isAttrs value && value.type or null == "derivation";
  isStringLike = value: isString value || builtins.isPath value || value ? outPath;
in
rec {
  mkOptionType = type: leaf type.description type.check // type;

  bool = leaf "boolean" builtins.isBool;
  int = leaf "signed integer" builtins.isInt;
  float = leaf "floating point number" builtins.isFloat;
  str = leaf "string" isString;
  path = leaf "absolute path" (value: isStringLike value && lib.hasPrefix "/" (toString value));
  package = leaf "package" isDerivation // {
    merge =
      path: values:
      if builtins.length values == 1 then
        head values
      else
        throw "The option `${showOption path}' is defined multiple times.";
  };

  addCheck = type: check: type // { check = value: type.check value && check value; };

  raw = leaf "raw value" (_: true);

  listOf =
    type:
    {
      description = "list of ${inParentheses type}";
      composed = true;
      check = isList;
      merge =
        path: lists:
        concatMap (value: mergeOption (path ++ [ "*" ]) type [ value ]) (builtins.concatLists lists);
    }
    // subAt [ "*" ] type;
  nonEmptyListOf =
    type:
    listOf type
    // {
      description = "non-empty (list of ${inParentheses type})";
      check = value: isList value && value != [ ];
    };

  attrsOf =
    type:
    {
      description = "attribute set of ${inParentheses type}";
      composed = true;
      check = isAttrs;
      merge =
        path: values:
        let
          sets = map pushDown values;
          definitions = name: map (set: set.${name}) (filter (set: set ? ${name}) sets);
          merged = lib.genAttrs (concatMap attrNames sets) (
            name: mergeOption (path ++ [ name ]) type (definitions name)
          );
          given = filter (name: merged.${name} != [ ]) (attrNames merged);
        in
        lib.genAttrs given (name: head merged.${name});
    }
    // subAt [ "<name>" ] type;

  lazyAttrsOf = attrsOf;
  deferredModule = leaf "module" (_: true) // {
    merge = _: imports: { inherit imports; };
  };

  nullOr =
    type:
    {
      description = "null or ${inParentheses type}";
      composed = true;
      check = value: value == null || type.check value;
      merge = path: values: if all (value: value == null) values then null else type.merge path values;
    }
    // subAt [ ] type;

  oneOf = types: {
    description = "one of ${toString (map (type: type.description) types)}";
    check = value: any (type: type.check value) types;
    merge =
      path: values:
      let
        fit = filter (type: all type.check values) types;
      in
      if fit == [ ] then equal path values else (head fit).merge path values;
  };

  enum =
    values:
    leaf "one of ${builtins.concatStringsSep ", " (map builtins.toJSON values)}" (
      value: builtins.elem value values
    );

  strMatching =
    pattern:
    leaf "string matching ${pattern}" (value: isString value && builtins.match pattern value != null);

  ints = {
    unsigned = leaf "unsigned integer, meaning >=0" (value: builtins.isInt value && value >= 0);
    positive = leaf "positive integer, meaning >0" (value: builtins.isInt value && value > 0);
    between =
      low: high:
      leaf "integer between ${toString low} and ${toString high} (both inclusive)" (
        value: builtins.isInt value && value >= low && value <= high
      );
  };

  submodule =
    {
      options ? { },
      freeformType ? null,
    }:
    {
      description =
        if freeformType == null then "submodule" else "open submodule of (${freeformType.description})";
      composed = true;
      check = isAttrs;
      merge = path: lib.fill freeformType path options;
      sub = {
        path = [ ];
        inherit options;
      };
    };
}
