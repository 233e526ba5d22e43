# An assertion that a service's state outlives a boot, also where the root is a tmpfs.
{ config, lib }:
service: dir:
let
  inherit (builtins) foldl' stringLength;
  # Whether something that is mounted there has dir, too.
  has = where: where == "/" || lib.hasPrefix "${where}/" "${dir}/";
  nearer = a: b: if stringLength b.where > stringLength a.where then b else a;
  mounts = map (name: {
    where = config.fileSystems.${name}.mountPoint or name;
    kind = config.fileSystems.${name}.fsType or "";
  }) (lib.attrNames config.fileSystems);
  mounted = lib.filter (mount: has mount.where) mounts;
  nearest = foldl' nearer {
    where = "";
    kind = "";
  } mounted;
  # Units of others, such as those of preservation.
  byUnits = lib.filter (
    unit: has unit.where && stringLength unit.where > stringLength nearest.where
  ) config.systemd.mounts;
in
{
  assertion =
    mounted == [ ]
    || byUnits != [ ]
    || !lib.elem nearest.kind [
      "tmpfs"
      "ramfs"
    ];
  message = "services.${service}: ${dir} is on the ${nearest.kind} that is ${nearest.where}, and must outlive a boot; mount something there that does, such as fileSystems.\"${dir}\" = { device = \"/persist${dir}\"; fsType = \"none\"; options = [ \"bind\" ]; }.";
}
