# What somebody may have meant, as internal/spec/suggest.go finds it.
let
  inherit (builtins)
    elemAt
    filter
    foldl'
    genList
    head
    length
    sort
    stringLength
    substring
    ;
  least = foldl' (a: b: if b < a then b else a);

  # How many letters have to be put in, left out, changed, or swapped with the next one, to make b of a.
  distance =
    a: b:
    let
      width = stringLength b;
      letter = text: i: substring i 1 text;
      next =
        rows: i:
        let
          row = head rows;
          cell =
            new: j:
            let
              change = elemAt row j + (if letter a i == letter b j then 0 else 1);
              swapped = i > 0 && j > 0 && letter a i == letter b (j - 1) && letter a (i - 1) == letter b j;
              best = least change [
                (elemAt row (j + 1) + 1)
                (elemAt new j + 1)
              ];
            in
            new
            ++ [
              (if swapped then least best [ (elemAt (elemAt rows 1) (j - 1) + 1) ] else best)
            ];
        in
        [ (foldl' cell [ (i + 1) ] (genList (j: j) width)) ] ++ rows;
      last = head (foldl' next [ (genList (j: j) (width + 1)) ] (genList (i: i) (stringLength a)));
    in
    elemAt last width;
in
{
  # A question about the known text that is the most like text, to be put behind a problem; empty if none
  # is like it.
  didYouMean =
    text: known:
    let
      third = stringLength text / 3;
      limit = if third < 1 then 1 else third;
      near = filter (k: k.distance <= limit) (
        map (name: {
          inherit name;
          distance = distance text name;
        }) known
      );
      best = head (
        sort (a: b: a.distance < b.distance || a.distance == b.distance && a.name < b.name) near
      );
    in
    if length near == 0 then "" else "; did you mean ${builtins.toJSON best.name}?";
}
