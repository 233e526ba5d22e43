# An assertion that a service's state outlives a boot, also where the root is a tmpfs.
{ config, lib }:
service: dir:
let
  inherit (builtins) foldl' stringLength;
  # Whether something that is mounted there has dir, too.
  has = where: where == "/" || lib.hasPrefix "${where}/" "${dir}/";
  nearer = a: b: if stringLength b > stringLength a then b else a;
  mounted = lib.filter has (lib.attrNames config.fileSystems);
  nearest = foldl' nearer "" mounted;
  kind = config.fileSystems.${nearest}.fsType or "";
  # Units of others, such as those of preservation.
  byUnits = lib.filter (
    unit: has unit.where && nearer nearest unit.where != nearest
  ) config.systemd.mounts;
in
{
  assertion =
    mounted == [ ]
    || byUnits != [ ]
    || !lib.elem kind [
      "tmpfs"
      "ramfs"
    ];
  message = "services.${service}: ${dir} is on the ${kind} that is ${nearest}, and must outlive a boot; mount something there that does, such as fileSystems.\"${dir}\" = { device = \"/persist${dir}\"; options = [ \"bind\" ]; }.";
}
