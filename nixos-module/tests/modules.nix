# The module system: options, definitions with mkIf and priorities, and imports.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    filter
    foldl'
    isAttrs
    isFunction
    isString
    mapAttrs
    ;

  isA = type: value: isAttrs value && value._type or null == type;

  # A value with its properties to the values and priorities that it defines.
  discharge =
    value:
    if isA "if" value then
      (if value.condition then discharge value.content else [ ])
    else if isA "override" value then
      map (d: d // { inherit (value) priority; }) (discharge value.content)
    else
      [
        {
          priority = 100;
          inherit value;
        }
      ];

  lowest = list: foldl' (a: b: if a < b then a else b) 10000 list;

  strongest =
    definitions:
    let
      priority = lowest (map (d: d.priority) definitions);
    in
    map (d: d.value) (filter (d: d.priority == priority) definitions);

  # A module to those that it imports and itself, each as { key; options; config; }.
  load =
    args: module:
    let
      loaded = if isString module || builtins.isPath module then import module else module;
      body = if isFunction loaded then loaded args else loaded;
      whole = body ? options || body ? config;
    in
    concatMap (load args) (body.imports or [ ])
    ++ [
      {
        key = if isFunction module || isAttrs module then body.key or null else toString module;
        options = body.options or { };
        config =
          if whole then
            body.config or { }
          else
            removeAttrs body [
              "_file"
              "imports"
              "key"
            ];
      }
    ];

  # Sets of options of several modules to one.
  union =
    a: b:
    a
    // mapAttrs (
      name: option: if a ? ${name} && !isA "option" option then union a.${name} option else option
    ) b;

in
rec {
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };

  showOption = concatStringsSep ".";

  # A set with its properties to a set of values with them: so that what a condition guards may be
  # part of what it depends on.
  pushDown =
    value:
    if isA "if" value then
      mapAttrs (_: mkIf value.condition) (pushDown value.content)
    else if isA "override" value then
      mapAttrs (_: mkOverride value.priority) (pushDown value.content)
    else
      value;

  # The definitions of one option to a list of its value, or to none.
  mergeOption =
    path: type: definitions:
    let
      values = strongest (concatMap discharge definitions);
      wrong = filter (value: !type.check value) values;
    in
    if values == [ ] then
      [ ]
    else if wrong != [ ] then
      throw "A definition for option `${showOption path}' is not of type `${type.description}'."
    else
      [ (type.merge path values) ];

  # Definitions of a tree of options to their values. What is none of them is of the freeform type, if
  # there is one.
  fill =
    freeform: path: tree: definitions:
    let
      sets = map pushDown definitions;
      free = map (set: removeAttrs set (attrNames tree)) sets;
      unknown = concatMap attrNames free;
      value =
        name: option:
        let
          below = path ++ [ name ];
          given = map (set: set.${name}) (filter (set: set ? ${name}) sets);
          merged = mergeOption below option.type given;
        in
        if !isA "option" option then
          fill freeform below option given
        else if merged != [ ] then
          builtins.head merged
        else
          option.default
            or (throw "The option `${showOption below}' was accessed but has no value defined. Try setting the option.");
    in
    if unknown == [ ] then
      mapAttrs value tree
    else if freeform == null then
      throw "The option `${showOption (path ++ [ (builtins.head unknown) ])}' does not exist."
    else
      freeform.merge path free // mapAttrs value tree;

  evalModules =
    {
      modules,
      specialArgs ? { },
    }:
    let
      args = specialArgs // {
        inherit config lib options;
        extendModules =
          more:
          evalModules {
            modules = modules ++ more.modules;
            inherit specialArgs;
          };
      };
      # Those with a key once.
      loaded = foldl' (
        all: m: if m.key != null && builtins.any (o: o.key == m.key) all then all else all ++ [ m ]
      ) [ ] (concatMap (load args) modules);
      options = foldl' union { } (map (m: m.options) loaded);

      config = fill null [ ] options (map (m: m.config) loaded);
    in
    {
      inherit config options;
    };
}
