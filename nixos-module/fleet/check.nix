# What is wrong with an output `kedge`: all of it, in the words of `kedge check`. Only what depends on time
# zones and dates is left to that: which zones there are, and what windows of several of them, or of some dates,
# have in common.
{ lib }:
let
  inherit (builtins)
    any
    attrNames
    concatLists
    concatMap
    elem
    elemAt
    filter
    foldl'
    genList
    isAttrs
    isList
    length
    listToAttrs
    mapAttrs
    match
    toJSON
    ;
  kinds = import ./kinds.nix { inherit lib; };
  options = import ./options.nix { inherit lib; };
  selectors = import ./selector.nix;
  windows = import ./window.nix;
  inherit (import ./suggest.nix) didYouMean;

  # Names as a set, in which one is found without a look at the others: fleets are large.
  setOf =
    names:
    listToAttrs (
      map (name: {
        inherit name;
        value = null;
      }) names
    );

  problem = path: text: [ { inherit path text; } ];
  quoted = name: if match "[a-zA-Z_][a-zA-Z0-9_'-]*" name != null then name else toJSON name;
  indices = list: genList (i: i) (length list);

  # The value of a kind to { problems; value; }: null, or without a part, where that could not be read.
  read =
    kind: path: value:
    if kind ? below.set then
      readSet kind.below.set path value
    else if kind ? below.each then
      readEach (_: kind.below.each) path value
    else if kind ? below.list then
      readList kind.below.list path value
    else
      let
        r = kind.read value;
      in
      {
        problems = if r ? problem then problem path r.problem else [ ];
        value = r.ok or r.near or null;
      };

  mustBe = what: path: value: {
    problems = problem path "must be ${what}, got ${kinds.describe value}";
    value = null;
  };

  readList =
    kind: path: value:
    let
      all = map (i: read kind "${path}[${toString i}]" (elemAt value i)) (indices value);
    in
    if !isList value then
      mustBe "a list" path value
    else
      {
        problems = concatMap (r: r.problems) all;
        value = map (r: r.value) all;
      };

  readEach =
    kindOf: path: value:
    let
      all = mapAttrs (name: read (kindOf name) "${path}.${quoted name}") value;
    in
    if !isAttrs value then
      mustBe "an attribute set" path value
    else
      {
        problems = concatMap (name: all.${name}.problems) (attrNames all);
        value = mapAttrs (_: r: r.value) all;
      };

  readSet =
    known: path: value:
    let
      given = readEach (name: known.${name}.type) path (lib.filterAttrs (name: _: known ? ${name}) value);
      unknown = filter (name: !(known ? ${name})) (attrNames value);
      isRequired = name: !(known.${name} ? default);
      missing = filter (name: isRequired name && !(value ? ${name})) (attrNames known);
    in
    if !isAttrs value then
      mustBe "an attribute set" path value
    else
      {
        problems =
          concatMap (
            name:
            problem "${path}.${quoted name}" "there is no such attribute${didYouMean name (attrNames known)}"
          ) unknown
          ++ given.problems
          ++ concatMap (name: problem "${path}.${name}" "must be given") missing;
        inherit (given) value;
      };

  # Of what was read, without what could not be.
  given = value: if isAttrs value then lib.filterAttrs (_: v: v != null) value else { };

  checkHosts =
    names: hosts:
    let
      there = setOf names;
    in
    concatMap (
      name:
      lib.optionals (!(there ? ${name}) || !kinds.isLabel name) (
        problem "kedge.hosts.${quoted name}" "nixosConfigurations has no such host${didYouMean name names}"
      )
    ) (attrNames hosts);

  checkSites =
    sites:
    concatMap (
      name:
      let
        r = kinds.label name;
      in
      lib.optionals (r ? problem) (problem "kedge.sites.${quoted name}" r.problem)
    ) (attrNames sites);

  # The names and tags of a fleet, and what a selector finds in it.
  fleet =
    names: hosts:
    let
      knownSet = setOf (names ++ filter kinds.isLabel (attrNames hosts));
      known = attrNames knownSet;
      tagsOf = name: filter (tag: tag != null) ((given hosts.${name} or { }).tags or [ ]);
      tagSet = setOf (concatMap tagsOf (attrNames hosts));
      tags = attrNames tagSet;
    in
    {
      inherit known;
      find =
        path: selector:
        let
          nobodys = concatMap (
            leaf:
            if leaf.op == "tag" then
              lib.optionals (!(tagSet ? ${leaf.word})) (
                problem path "no host has the tag ${toJSON leaf.word}${didYouMean leaf.word tags}"
              )
            else
              lib.optionals (!(knownSet ? ${leaf.word} || any (selectors.namedBy leaf.word) known)) (
                problem path "no host is called ${toJSON leaf.word}${didYouMean leaf.word known}"
              )
          ) (selectors.leaves selector);
          found = filter (name: selectors.selects selector name (tagsOf name)) known;
        in
        if selector == null then
          {
            problems = [ ];
            found = [ ];
          }
        else
          {
            inherit found;
            problems =
              nobodys
              ++ lib.optionals (found == [ ] && nobodys == [ ]) (
                problem path "${toJSON (selectors.toText selector)} selects no host"
              );
          };
    };

  # An amount of so many hosts, rounded up.
  upOf = amount: hosts: if amount.percent then (amount.count * hosts + 99) / 100 else amount.count;

  checkSuccess =
    path: budget: wave: members:
    let
      wanted = upOf budget.success members;
    in
    lib.optionals (budget ? success && members > 0 && wanted > members) (
      problem "${path}.budget.success" "can never be reached: ${toString wanted} hosts of wave ${toJSON wave}, which has ${toString members}"
    );

  checkWindows =
    path: ws:
    let
      allow = filter (w: w != null) (ws.allow or [ ]);
      deny = filter (w: w != null) (ws.deny or [ ]);
      texts = map windows.toText deny;
      never = any (d: windows.covers deny (windows.always d.zone)) deny;
    in
    lib.optionals (allow == [ ] && never) (
      problem "${path}.deny" "leaves no time in which anything could go; what shall stand still for a while has rollout.freeze"
    )
    ++ concatMap (
      i:
      let
        w = elemAt allow i;
        text = windows.toText w;
        here = problem "${path}.allow[${toString i}]";
      in
      if elem text texts then
        here "${toJSON text} is in deny, too"
      else
        lib.optionals (deny != [ ] && (never || windows.covers deny w)) (
          here "${toJSON text} never opens: deny has all of it"
        )
    ) (indices allow);

  checkWave =
    f: rollout: earlier: i:
    let
      path = "kedge.rollout.waves[${toString i}]";
      w = given (elemAt rollout.waves i);
      name = w.name or "";
      canary = given (w.canary or { });
      selected = f.find "${path}.hosts" (w.hosts or null);
      members = filter (h: !(earlier.taken ? ${h})) selected.found;
      count = length members;
      canaries = f.find "${path}.canary.hosts" (canary.hosts or null);
      canarySet = setOf canaries.found;
      namesake = lib.findFirst (j: (given (elemAt rollout.waves j)).name or "" == name) null (
        genList (j: j) i
      );
      size = upOf canary.size count;
      budget = given rollout.budget or { } // given (w.budget or { });
      own = w ? budget;
    in
    {
      taken = earlier.taken // setOf members;
      problems =
        earlier.problems
        ++ lib.optionals (namesake != null && name != "") (
          problem "${path}.name" "waves[${toString namesake}] is called ${toJSON name}, too"
        )
        ++ lib.optionals (name == "rest") (
          problem "${path}.name" "must not be \"rest\", as the last wave is called, of the hosts that no other wave has"
        )
        ++ lib.optionals (w ? windows) (
          checkWindows "${path}.windows" (given rollout.windows or { } // given w.windows)
        )
        ++ selected.problems
        ++ lib.optionals (selected.found != [ ] && members == [ ]) (
          problem "${path}.hosts" "all of the hosts that it selects are in earlier waves"
        )
        ++ lib.optionals (canary ? size && canary ? hosts) (
          problem "${path}.canary" "must have size or hosts, not both"
        )
        ++ lib.optionals (!(canary ? size || canary ? hosts) && kinds.isSome (canary.soak or "0s")) (
          problem "${path}.canary" "must have size or hosts, for there is no canary without"
        )
        ++ lib.optionals (members != [ ]) (
          lib.optionals (canary ? size && size > count) (
            problem "${path}.canary.size" "must not be more than the wave's hosts, of which there are ${toString count}, got ${toString size}"
          )
          ++ canaries.problems
          ++ lib.optionals (canaries.found != [ ] && !any (h: canarySet ? ${h}) members) (
            problem "${path}.canary.hosts" "none of the hosts that it selects is one of the wave's"
          )
          ++ checkSuccess (if own then path else "kedge.rollout") budget name count
        );
    };
in
# The output, and the names of the nixosConfigurations, to its problems, as [ { path; text; } ].
spec: names:
let
  r = readSet options "kedge" spec;
  s = given r.value;
  hosts = given (s.hosts or { });
  sites = given (s.sites or { });
  rollout = given (s.rollout or { });
  waves = rollout.waves or [ ];
  f = fleet names hosts;
  end = foldl' (checkWave f (rollout // { inherit waves; })) {
    taken = { };
    problems = [ ];
  } (indices waves);
  left = length (filter (h: !(end.taken ? ${h})) f.known);
in
r.problems
++ checkHosts names (s.hosts or { })
++ checkSites (s.sites or { })
++ concatLists (
  map (
    name: (f.find "kedge.sites.${quoted name}.hosts" ((given sites.${name}).hosts or null)).problems
  ) (attrNames sites)
)
++ checkWindows "kedge.rollout.windows" (given (rollout.windows or { }))
++ end.problems
++ checkSuccess "kedge.rollout" (given (rollout.budget or { })) (
  if waves == [ ] then "all" else "rest"
) left
