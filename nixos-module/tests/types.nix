# Types of options: what they let in, and how they merge.
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

  listOf = type: {
    description = "list of ${type.description}";
    check = isList;
    merge =
      path: lists:
      concatMap (value: mergeOption (path ++ [ "*" ]) type [ value ]) (builtins.concatLists lists);
  };
  nonEmptyListOf =
    type:
    listOf type
    // {
      description = "non-empty list of ${type.description}";
      check = value: isList value && value != [ ];
    };

  attrsOf = type: {
    description = "attribute set of ${type.description}";
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
  };

  nullOr = type: {
    description = "null or ${type.description}";
    check = value: value == null || type.check value;
    merge =
      path: values: if all (value: value == null) values then null else type.merge path values;
  };

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

  enum = values: leaf "one of ${toString values}" (value: builtins.elem value values);

  strMatching =
    pattern:
    leaf "string matching ${pattern}" (
      value: isString value && builtins.match pattern value != null
    );

  ints = {
    unsigned = leaf "unsigned integer" (value: builtins.isInt value && value >= 0);
    positive = leaf "positive integer" (value: builtins.isInt value && value > 0);
    between =
      low: high:
      leaf "integer between ${toString low} and ${toString high}" (
        value: builtins.isInt value && value >= low && value <= high
      );
  };

  submodule =
    {
      options ? { },
      freeformType ? null,
    }:
    {
      description = "submodule";
      check = isAttrs;
      merge = path: lib.fill freeformType path options;
    };
}
