# Windows of a week, such as "Sat,Sun 02:00-04:00 Europe/Berlin", as internal/window reads them. Which time
# zones there are is not known here, nor how far they are apart: `kedge check` looks at that.
let
  inherit (builtins)
    all
    any
    concatMap
    concatLists
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    fromJSON
    genList
    head
    isString
    length
    match
    sort
    split
    stringLength
    substring
    tail
    toJSON
    ;

  names = [
    "Mon"
    "Tue"
    "Wed"
    "Thu"
    "Fri"
    "Sat"
    "Sun"
  ];
  patterns = [
    "[Mm][Oo][Nn]"
    "[Tt][Uu][Ee]"
    "[Ww][Ee][Dd]"
    "[Tt][Hh][Uu]"
    "[Ff][Rr][Ii]"
    "[Ss][Aa][Tt]"
    "[Ss][Uu][Nn]"
  ];
  everyDay = genList (i: i) 7;
  dayMinutes = 24 * 60;
  weekMinutes = 7 * dayMinutes;

  pieces = separator: text: filter isString (split separator text);
  fields = text: filter (word: word != "") (pieces "[[:space:]]+" text);

  # Where one thing fails the rest is not tried.
  bind = read: next: if read ? problem then read else next read.ok;

  day =
    name:
    let
      found = filter (i: match (elemAt patterns i) name != null) everyDay;
    in
    if found == [ ] then
      {
        problem = "a day must be one of ${concatStringsSep ", " names}, or two of them as in Mon-Fri, got ${toJSON name}";
      }
    else
      { ok = head found; };

  span =
    part:
    let
      cut = match "([^-]*)-(.*)" part;
      until = first: last: [ first ] ++ (if first == last then [ ] else until (mod7 (first + 1)) last);
    in
    if cut == null then
      bind (day part) (d: {
        ok = [ d ];
      })
    else
      bind (day (elemAt cut 0)) (
        first:
        bind (day (elemAt cut 1)) (last: {
          ok = until first last;
        })
      );

  mod7 = n: if n >= 7 then n - 7 else n;

  days =
    text:
    foldl' (
      all: part:
      bind all (
        before:
        bind (span part) (more: {
          ok = before ++ more;
        })
      )
    ) { ok = [ ]; } (pieces "," text);

  clock =
    text:
    let
      cut = match "0?([0-9]+):0?([0-5]?[0-9])" text;
      minutes = fromJSON (elemAt cut 0) * 60 + fromJSON (elemAt cut 1);
    in
    if match "[0-9][0-9]:[0-5][0-9]" text == null || minutes > dayMinutes then
      { problem = "a time must be 00:00 to 24:00, got ${toJSON text}"; }
    else
      { ok = minutes; };

  times =
    text:
    let
      cut = match "([^-]*)-(.*)" text;
    in
    if cut == null then
      { problem = "start and end must be written as 02:00-04:00, got ${toJSON text}"; }
    else
      bind (clock (elemAt cut 0)) (
        start:
        bind (clock (elemAt cut 1)) (
          end:
          if start == end || start == dayMinutes then
            { problem = "${text} has no length; a whole day is 00:00-24:00"; }
          else
            { ok = { inherit start end; }; }
        )
      );

  zone =
    name:
    if name == "Local" then
      { problem = "the time zone must be named, such as Europe/Berlin, got \"Local\""; }
    else if match "[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*" name == null then
      { problem = "there is no time zone ${toJSON name}"; }
    else
      { ok = name; };

  parsed =
    words:
    let
      hasDays = words != [ ] && match ".*:.*" (head words) == null;
      rest = if hasDays then tail words else words;
      after = tail rest;
    in
    bind (if hasDays then days (head words) else { ok = everyDay; }) (
      days:
      if rest == [ ] then
        { problem = "it has no start and end"; }
      else
        bind (times (head rest)) (
          times:
          if length after > 1 then
            {
              problem = "nothing may follow the time zone, got ${toJSON (concatStringsSep " " (tail after))}";
            }
          else
            bind (if after == [ ] then { ok = "UTC"; } else zone (head after)) (zone: {
              ok = times // {
                inherit zone;
                days = filter (d: elem d days) everyDay;
              };
            })
        )
    );

  two = n: if n < 10 then "0${toString n}" else toString n;
  clockText = minutes: "${two (minutes / 60)}:${two (minutes - minutes / 60 * 60)}";

  # The spans of a week in which a window is open, as minutes from Monday on.
  spans =
    w:
    concatMap (
      d:
      let
        from = d * dayMinutes + w.start;
        to = (if w.end > w.start then d else d + 1) * dayMinutes + w.end;
      in
      if to > weekMinutes then
        [
          {
            inherit from;
            to = weekMinutes;
          }
          {
            from = 0;
            to = to - weekMinutes;
          }
        ]
      else
        [ { inherit from to; } ]
    ) w.days;

  # Spans to as few as possible, in order.
  joined =
    list:
    foldl' (
      all: s:
      let
        last = elemAt all (length all - 1);
        before = genList (elemAt all) (length all - 1);
      in
      if all != [ ] && s.from <= last.to then
        before ++ [ (last // { to = if s.to > last.to then s.to else last.to; }) ]
      else
        all ++ [ s ]
    ) [ ] (sort (a: b: a.from < b.from) list);
in
rec {
  # { ok = window; } or { problem; }.
  parse =
    text:
    let
      w = parsed (fields text);
    in
    if w ? problem then
      {
        problem = "${toJSON text} is no window such as \"Sat,Sun 02:00-04:00 Europe/Berlin\": ${w.problem}";
      }
    else
      w;

  # A window as parse takes it.
  toText =
    w:
    (if w.days == everyDay then "" else "${concatStringsSep "," (map (elemAt names) w.days)} ")
    + "${clockText w.start}-${clockText w.end} ${w.zone}";

  # Whether windows of the same time zone have all of one; of other zones nothing is known.
  covers =
    windows: w:
    let
      open = joined (concatLists (map spans (filter (d: d.zone == w.zone) windows)));
    in
    all (s: any (o: o.from <= s.from && s.to <= o.to) open) (spans w);

  # All of a week.
  always = zone: {
    inherit zone;
    days = everyDay;
    start = 0;
    end = dayMinutes;
  };
}
