# Selectors of hosts, as internal/spec/selector.go has them. A selector is a tree of
# { op; word; } for "tag" and "name", { op; args; } for "or", "and" and "not", and { op = "all"; }.
let
  inherit (builtins)
    all
    any
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    head
    isString
    length
    match
    replaceStrings
    split
    stringLength
    substring
    tail
    toJSON
    ;

  longest = 1000;
  order = {
    or = 1;
    and = 2;
    not = 3;
  };

  # The words of a text, with the place of each one's first character, from 1: parentheses, and what stands
  # between spaces and parentheses.
  words =
    text:
    (foldl'
      (
        all: piece:
        let
          word = if isString piece then piece else head piece;
          blank = match "[ \t\n\r]*" word != null;
        in
        {
          at = all.at + stringLength word;
          found =
            all.found
            ++ (
              if blank then
                [ ]
              else
                [
                  {
                    inherit (all) at;
                    text = word;
                  }
                ]
            );
        }
      )
      {
        at = 1;
        found = [ ];
      }
      (split "([()]|[ \t\n\r]+)" text)
    ).found;

  # A part of a selector and the words after it, or a problem.
  parser =
    text:
    let
      end = stringLength text + 1;
      next = ws: if ws == [ ] then null else (head ws).text;
      expected = ws: what: {
        problem =
          if ws == [ ] then
            "at ${toString end}: must go on with ${what}"
          else
            "at ${toString (head ws).at}: must be ${what}, got ${toJSON (head ws).text}";
      };

      # One part, or several with the operator between them.
      chain =
        op: part: ws:
        let
          go =
            args: ws:
            let
              p = part ws;
              flat = args ++ (if p.node.op == op then p.node.args else [ p.node ]);
            in
            if p ? problem then
              p
            else if next p.rest == op then
              go flat (tail p.rest)
            else
              {
                node =
                  if length flat == 1 then
                    p.node
                  else
                    {
                      inherit op;
                      args = flat;
                    };
                inherit (p) rest;
              };
        in
        go [ ] ws;

      either = chain "or" (chain "and" one);

      one =
        ws:
        let
          word = next ws;
          inner = either (tail ws);
          negated = one (tail ws);
        in
        if word == "not" then
          (
            if negated ? problem then
              negated
            else
              {
                node = {
                  op = "not";
                  args = [ negated.node ];
                };
                inherit (negated) rest;
              }
          )
        else if word == "(" then
          (
            if inner ? problem then
              inner
            else if next inner.rest == ")" then
              inner // { rest = tail inner.rest; }
            else
              expected inner.rest "\")\", \"and\" or \"or\""
          )
        else if ws == [ ] then
          expected ws "hosts"
        else
          leaf ws word;

      leaf =
        ws: word:
        let
          tag = match "tag:(${label})" word;
          node =
            if tag != null then
              {
                op = "tag";
                word = elemAt tag 0;
              }
            else if word == "all" then
              { op = "all"; }
            else if
              elem word [
                "and"
                "or"
              ]
              || match "[a-z0-9*?-]{1,63}" word == null
            then
              null
            else
              {
                op = "name";
                inherit word;
              };
        in
        if node == null then
          expected ws "a tag such as tag:web, a name such as web1 or web*, \"all\", \"not\" or \"(\""
        else
          {
            inherit node;
            rest = tail ws;
          };

      whole = either (words text);
    in
    if !(whole ? problem) && whole.rest != [ ] then expected whole.rest "\"and\" or \"or\"" else whole;

  label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";

  # A part as text, in parentheses if it binds less closely than op.
  show =
    outer: node:
    let
      text = concatStringsSep " ${node.op} " (map (show node.op) node.args);
    in
    if node.op == "all" then
      "all"
    else if node.op == "tag" then
      "tag:${node.word}"
    else if node.op == "name" then
      node.word
    else if node.op == "not" then
      "not ${show "not" (head node.args)}"
    else if order.${node.op} < order.${outer} then
      "(${text})"
    else
      text;

  globs =
    pattern:
    replaceStrings
      [
        "*"
        "?"
      ]
      [
        ".*"
        "."
      ]
      pattern;
in
rec {
  inherit label;

  # { ok = selector; } or { problem; }.
  parse =
    text:
    let
      parsed = parser text;
    in
    if stringLength text > longest then
      {
        problem = "a selector must not be longer than ${toString longest} characters, got ${toString (stringLength text)}";
      }
    else if parsed ? problem then
      { problem = "${toJSON text} is no selector: ${parsed.problem}"; }
    else
      { ok = parsed.node; };

  # A selector as parse takes it, in one way of all those to write it.
  toText = show "or";

  namedBy = pattern: name: match (globs pattern) name != null;

  # Whether it selects a host with these tags.
  selects =
    node: name: tags:
    let
      holds = arg: selects arg name tags;
    in
    {
      or = any holds (node.args or [ ]);
      and = all holds (node.args or [ ]);
      not = !(any holds (node.args or [ ]));
      all = true;
      tag = elem (node.word or "") tags;
      name = namedBy (node.word or "") name;
    }
    .${node.op};

  # Its tags and patterns of names, in their order.
  leaves = node: if node ? word then [ node ] else concatMap leaves (node.args or [ ]);
}
