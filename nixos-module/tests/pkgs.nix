# Stands in for nixpkgs' packages. What runCommand returns can be built, on a machine that has /bin/sh.
{
  lib,
  system ? "x86_64-linux",
  kedge ? null,
}:
let
  package = name: {
    type = "derivation";
    inherit name system;
    outPath = "/${name}";
  };

  stdenv = {
    hostPlatform = { inherit system; };
    buildPlatform.canExecute = platform: platform.system == system;
  };

  yaml =
    let
      inherit (lib) types;
      value =
        types.nullOr (
          types.oneOf [
            types.bool
            types.int
            types.float
            types.str
            types.path
            (types.attrsOf value)
            (types.listOf value)
          ]
        )
        // {
          description = "YAML value";
        };
    in
    value;
in
{
  inherit stdenv;

  callPackage =
    f: args:
    import f (
      {
        inherit lib stdenv;
        installShellFiles = package "installShellFiles";
        # What it is given, to look at, and its outputs.
        buildGoModule =
          module:
          let
            output = outputName: package module.pname // { inherit outputName; };
          in
          output "out" // module // lib.genAttrs module.outputs output;
      }
      // args
    );

  formats.yaml = _: {
    type = yaml;
    generate = name: value: builtins.toFile name (builtins.toJSON value); # JSON is YAML
  };

  runCommand =
    name: _: script:
    derivation {
      inherit name system;
      builder = "/bin/sh";
      args = [
        "-euc"
        script
      ];
    };

  mkShell = shell: package "shell" // shell;

}
// lib.genAttrs [
  "git"
  "gnupg"
  "go"
  "golangci-lint"
  "nats-server"
  "natscli"
  "nix"
  "nixfmt-tree"
  "openssh"
  "systemd"
] package
// (if kedge == null then { } else { inherit kedge; })
