# What there is to read about the options, for each page of the reference, as a set that is JSON.
#
# lib    another one, such as that of nixpkgs, whose own list it is then
{
  lib ? import ./lib.nix,
}:
let
  inherit (builtins)
    attrNames
    concatMap
    isAttrs
    mapAttrs
    ;
  pkgs = import ./pkgs.nix {
    inherit lib;
    kedge = {
      type = "derivation";
      name = "kedge";
      outPath = "/kedge";
      agent = pkgs.kedge;
    };
  };
  inherit
    (lib.evalModules {
      modules = [
        ./nixos.nix
        ../agent.nix
        ../controller.nix
        ../monitoring.nix
        { options.kedge = import ../fleet/options.nix { inherit lib; }; }
      ];
      specialArgs = { inherit pkgs; };
    })
    options
    ;

  # An option below a path, and those below it, from the options of tests/lib.nix.
  below =
    path: tree:
    concatMap (
      name:
      let
        option = tree.${name};
        here = path ++ [ name ];
        sub = option.type.sub or null;
      in
      if option._type or null != "option" then
        below here option
      else
        [
          (
            {
              name = lib.showOption here;
              type = option.type.description;
              inherit (option) description;
            }
            // lib.optionalAttrs (option ? default || option ? defaultText) {
              default = option.defaultText or option.default;
            }
            // lib.optionalAttrs (option ? example) { inherit (option) example; }
          )
        ]
        ++ (if sub == null then [ ] else below (here ++ sub.path) sub.options)
    ) (attrNames tree);

  # The same of nixpkgs' options, without their defaults and examples, which it has as text.
  listed =
    _: tree:
    map (o: { inherit (o) name type description; }) (
      lib.filter (o: o.visible && !o.internal) (lib.optionAttrSetToDocList tree)
    );

  document = if lib ? optionAttrSetToDocList then listed else below;
  service =
    name:
    document [
      "services"
      name
    ] options.services.${name};
in
{
  agent = service "kedge-agent";
  controller = service "kedge-controller";
  monitoring = service "kedge-monitoring";
  fleet = document [ "kedge" ] options.kedge;
}
