# Windows of a week, such as "Sat,Sun 02:00-04:00 Europe/Berlin", or of some dates and months only, as
# internal/window reads them. Which time zones there are is not known here, nor how far they are apart, nor which
# date is on which day of a week: `kedge check` looks at that.
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
  monthNames = [
    "Jan"
    "Feb"
    "Mar"
    "Apr"
    "May"
    "Jun"
    "Jul"
    "Aug"
    "Sep"
    "Oct"
    "Nov"
    "Dec"
  ];
  monthPatterns = [
    "[Jj][Aa][Nn]"
    "[Ff][Ee][Bb]"
    "[Mm][Aa][Rr]"
    "[Aa][Pp][Rr]"
    "[Mm][Aa][Yy]"
    "[Jj][Uu][Nn]"
    "[Jj][Uu][Ll]"
    "[Aa][Uu][Gg]"
    "[Ss][Ee][Pp]"
    "[Oo][Cc][Tt]"
    "[Nn][Oo][Vv]"
    "[Dd][Ee][Cc]"
  ];
  # Of a leap year.
  monthLengths = [
    31
    29
    31
    30
    31
    30
    31
    31
    30
    31
    30
    31
  ];
  everyDay = genList (i: i) 7;
  everyDate = genList (i: i + 1) 31;
  everyMonth = genList (i: i) 12;
  dayMinutes = 24 * 60;
  weekMinutes = 7 * dayMinutes;

  pieces = separator: text: filter isString (split separator text);
  fields = text: filter (word: word != "") (pieces "[[:space:]]+" text);

  # Where one thing fails the rest is not tried.
  bind = read: next: if read ? problem then read else next read.ok;

  # The number of what one of patterns is of.
  numbered =
    patterns: problem: name:
    let
      found = filter (i: match (elemAt patterns i) name != null) (genList (i: i) (length patterns));
    in
    if found == [ ] then { problem = "${problem}, got ${toJSON name}"; } else { ok = head found; };

  day = numbered patterns "a day must be one of ${concatStringsSep ", " names}, or two of them as in Mon-Fri";

  month = numbered monthPatterns "a month must be one of Jan, Feb, Mar and so on, or two of them as in Nov-Jan";

  date =
    text:
    let
      digits = match "0*([1-9][0-9]?)" text;
      number = fromJSON (head digits);
    in
    if digits == null || number > 31 then
      { problem = "a date must be 1 to 31, or two of them as in 1-7, got ${toJSON text}"; }
    else
      { ok = number; };

  # What says on which days a window starts, in its order. After the last of every the first comes again.
  parts = [
    {
      name = "months";
      every = everyMonth;
      one = month;
      is = word: month (head (match "([^,-]*).*" word)) ? ok;
    }
    {
      name = "dates";
      every = everyDate;
      one = date;
      is = word: match "[0-9].*" word != null;
    }
    {
      name = "days";
      every = everyDay;
      one = day;
      is = _: true;
    }
  ];

  span =
    kind: part:
    let
      cut = match "([^-]*)-(.*)" part;
      after = n: if n == elemAt kind.every (length kind.every - 1) then head kind.every else n + 1;
      until = first: last: [ first ] ++ (if first == last then [ ] else until (after first) last);
    in
    if cut == null then
      bind (kind.one part) (n: {
        ok = [ n ];
      })
    else
      bind (kind.one (elemAt cut 0)) (
        first:
        bind (kind.one (elemAt cut 1)) (last: {
          ok = until first last;
        })
      );

  members =
    kind: text:
    foldl' (
      all: part:
      bind all (
        before:
        bind (span kind part) (more: {
          ok = before ++ more;
        })
      )
    ) { ok = [ ]; } (pieces "," text);

  # Takes a kind from the first of the words left.
  take =
    left: kind:
    let
      word = head left.words;
    in
    if left.words == [ ] || match ".*:.*" word != null || !kind.is word then
      { ok = left; }
    else
      bind (members kind word) (numbers: {
        ok = left // {
          words = tail left.words;
          ${kind.name} = filter (n: elem n numbers) kind.every;
        };
      });

  happens = w: any (m: any (d: d <= elemAt monthLengths m) w.dates) w.months;

  # On which days a window starts, and the words after that.
  starts =
    words:
    bind (foldl' (read: kind: bind read (left: take left kind)) {
      ok = {
        inherit words;
        months = everyMonth;
        dates = everyDate;
        days = everyDay;
      };
    } parts) (w: if happens w then { ok = w; } else { problem = "no month of these has such a date"; });

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
    bind (starts words) (
      w:
      let
        after = tail w.words;
      in
      if w.words == [ ] then
        { problem = "it has no start and end"; }
      else
        bind (times (head w.words)) (
          times:
          if length after > 1 then
            {
              problem = "nothing may follow the time zone, got ${toJSON (concatStringsSep " " (tail after))}";
            }
          else
            bind (if after == [ ] then { ok = "UTC"; } else zone (head after)) (zone: {
              ok = times // {
                inherit zone;
                inherit (w) months dates days;
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
    let
      some =
        every: text: of:
        if of == every then "" else "${concatStringsSep "," (map text of)} ";
    in
    some everyMonth (elemAt monthNames) w.months
    + some everyDate toString w.dates
    + some everyDay (elemAt names) w.days
    + "${clockText w.start}-${clockText w.end} ${w.zone}";

  # Whether windows of the same time zone, and of every week, have all of one; of others nothing is known.
  covers =
    windows: w:
    let
      weekly = d: d.months == everyMonth && d.dates == everyDate;
      open = joined (concatLists (map spans (filter (d: d.zone == w.zone && weekly d) windows)));
    in
    all (s: any (o: o.from <= s.from && s.to <= o.to) open) (spans w);

  # All of a week.
  always = zone: {
    inherit zone;
    months = everyMonth;
    dates = everyDate;
    days = everyDay;
    start = 0;
    end = dayMinutes;
  };
}
