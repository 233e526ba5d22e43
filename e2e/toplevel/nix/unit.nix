# Renders units as NixOS does: attribute sets like those of systemd.services to unit files.
let
  value =
    v:
    if v == true then
      "true"
    else if v == false then
      "false"
    else
      toString v;

  # A list is a key several times, null no key.
  key =
    name: v:
    if v == null then
      ""
    else if builtins.isList v then
      builtins.concatStringsSep "" (map (key name) v)
    else
      "${name}=${value v}\n";

  section =
    name: attrs:
    let
      body = builtins.concatStringsSep "" (builtins.attrValues (builtins.mapAttrs key attrs));
    in
    if body == "" then "" else "[${name}]\n${body}";

  words = list: if list == [ ] then null else builtins.concatStringsSep " " list;

  assignment = name: v: builtins.toJSON (builtins.replaceStrings [ "%" ] [ "%%" ] "${name}=${v}");

  # What NixOS leaves out when it is the default.
  unless = default: v: if v == default then null else v;

  kindOf = file: builtins.elemAt (builtins.match ".*\\.([a-z]+)" file) 0;
in
{
  # The text of the unit file.
  render =
    file: u:
    u.text or (builtins.concatStringsSep "\n" (
      builtins.filter (s: s != "") [
        (section "Unit" (
          {
            Description = u.description or null;
            After = words (u.after or [ ]);
            Before = words (u.before or [ ]);
            Wants = words (u.wants or [ ]);
            Requires = words (u.requires or [ ]);
            BindsTo = words (u.bindsTo or [ ]);
            PartOf = words (u.partOf or [ ]);
            Conflicts = words (u.conflicts or [ ]);
            X-Reload-Triggers = words (u.reloadTriggers or [ ]);
            X-Restart-Triggers = words (u.restartTriggers or [ ]);
          }
          // (u.unitConfig or { })
        ))
        (
          if kindOf file == "service" then
            section "Service" (
              {
                Environment = builtins.attrValues (builtins.mapAttrs assignment (u.environment or { }));
                X-ReloadIfChanged = unless false (u.reloadIfChanged or false);
                X-RestartIfChanged = unless true (u.restartIfChanged or true);
                X-StopIfChanged = unless true (u.stopIfChanged or true);
                X-NotSocketActivated = unless false (u.notSocketActivated or false);
              }
              // (u.serviceConfig or { })
            )
          else
            ""
        )
        (section "Socket" (u.socketConfig or { }))
        (section "Timer" (u.timerConfig or { }))
        (section "Mount" (u.mountConfig or { }))
        (section "Path" (u.pathConfig or { }))
      ]
    ));

  # Names of the links beside the unit files that pull the unit in.
  links =
    file: u:
    map (target: "${target}.wants/${file}") (u.wantedBy or [ ])
    ++ map (target: "${target}.requires/${file}") (u.requiredBy or [ ]);
}
