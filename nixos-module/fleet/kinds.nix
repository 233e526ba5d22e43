# What values of the flake's output `kedge` may be. Each kind is a type of options, and says the same about
# a value as internal/spec: `read value` is { ok = what it says; } or { problem = "…"; }, which has
# `near`, too, where it is clear what the value says.
{ lib }:
let
  inherit (builtins)
    elem
    elemAt
    fromJSON
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isPath
    isString
    match
    stringLength
    toJSON
    ;
  selectors = import ./selector.nix;
  windows = import ./window.nix;

  whatItIs =
    value:
    if isAttrs value then
      "an attribute set"
    else if isList value then
      "a list"
    else if isString value then
      "a text"
    else if isPath value then
      "a path"
    else if isInt value || isFloat value then
      "a number"
    else if isBool value then
      "true or false"
    else if isFunction value then
      "a function"
    else
      "null";

  # A value if it is short, and what it is otherwise.
  describe =
    value:
    if isAttrs value || isList value || isPath value || isFunction value then
      whatItIs value
    else if stringLength (toJSON value) > 60 then
      whatItIs value
    else
      toJSON value;

  mkKind =
    name: description: read:
    lib.mkOptionType {
      inherit name description;
      descriptionClass = "noun";
      check = value: !(read value ? problem);
    }
    // {
      inherit read;
    };

  mustBe = what: value: { problem = "must be ${what}, got ${describe value}"; };
  text = next: value: if isString value then next value else mustBe "a text" value;

  isLabel = value: match selectors.label value != null;
  label = text (
    value:
    if isLabel value then
      { ok = value; }
    else
      {
        problem = "must be 1 to 63 characters of a-z, 0-9 and hyphens, with none at either end, got ${toJSON value}";
      }
  );

  cacheURL = text (
    url:
    let
      rest = match "[hH][tT][tT][pP][sS]?://(.*)" url;
      authority = elemAt (match "([^/?#]*).*" (elemAt rest 0)) 0;
      refused = why: { problem = "cache ${toJSON url}: ${why}"; };
    in
    if rest == null then
      refused "must be an http or https URL"
    else if authority == "" || match ".*@.*" authority != null then
      refused "must name a host, and no user"
    else if match "[^?#]*([?][^#]+.*|[?]?#.+)" url != null then
      refused "must have no query and no fragment"
    else
      { ok = url; }
  );

  unit = "(ns|us|ms|s|m|h)";
  duration =
    value:
    if isString value && match "[+]?(([0-9]+[.]?[0-9]*|[.][0-9]+)${unit})+" value != null then
      { ok = value; }
    else
      mustBe "a text with units such as \"10m\" or \"1h30m\", and not negative" value;
  isNothing = value: match "[+]?([0.]+${unit})+" value != null;

  mostHosts = 1000000;
  amount =
    value:
    let
      shown = if isString value then value else toJSON value;
      parts = match "(-?)0*([0-9]{1,18})(%?)" shown;
      count = fromJSON (elemAt parts 1);
      percent = elemAt parts 2 == "%";
      what = "must be a number of hosts such as 3, or a percentage such as \"10%\"";
      got = "got ${toJSON shown}";
    in
    if !(isString value || isInt value || isFloat value) then
      { problem = "${what}, got ${describe value}"; }
    else if parts == null then
      { problem = "${what}, ${got}"; }
    else if elemAt parts 0 == "-" && count > 0 then
      { problem = "must not be negative, ${got}"; }
    else if percent && count > 100 then
      { problem = "must not be more than 100%, ${got}"; }
    else if count > mostHosts then
      { problem = "must not be more than ${toString mostHosts}, ${got}"; }
    else
      { ok = { inherit count percent; }; };

  # What a value that could be read must be besides.
  also =
    holds: why: read: value:
    let
      r = read value;
    in
    if r ? problem || holds r.ok then
      r
    else
      {
        problem = why r.ok;
        near = r.ok;
      };
in
{
  inherit describe isLabel label;
  isSome = duration: !isNothing duration;

  boolean = mkKind "boolean" "boolean" (
    value: if isBool value then { ok = value; } else mustBe "true or false" value
  );

  name = mkKind "name" "name" label;

  reason = mkKind "reason" "text" (
    text (
      value:
      if stringLength value > 200 || match "[^[:cntrl:]]*" value == null then
        { problem = "must be one line of at most 200 characters"; }
      else
        { ok = value; }
    )
  );

  cache = mkKind "cache" "URL" cacheURL;

  duration = mkKind "duration" "duration" duration;

  someTime = mkKind "someTime" "duration" (
    also (d: !isNothing d) (_: "must be more than 0s") duration
  );

  amount = mkKind "amount" "amount" amount;

  someHosts = mkKind "someHosts" "amount" (
    also (a: a.count > 0) (
      a: "must be at least 1, got ${toString a.count}${lib.optionalString a.percent "%"}"
    ) amount
  );

  selector = mkKind "selector" "selector" (text selectors.parse);

  window = mkKind "window" "window" (text windows.parse);

  choice =
    one: other:
    mkKind "choice" "${toJSON one} or ${toJSON other}" (
      text (
        value:
        if
          elem value [
            one
            other
          ]
        then
          { ok = value; }
        else
          { problem = "must be ${toJSON one} or ${toJSON other}, got ${toJSON value}"; }
      )
    );

  # Those that have others below them say which: { list = kind; }, { each = kind; } or { set = options; }.
  listOf = kind: lib.types.listOf kind // { below.list = kind; };
  namedSets = kind: lib.types.attrsOf kind // { below.each = kind; };
  set = options: lib.types.submodule { inherit options; } // { below.set = options; };
}
