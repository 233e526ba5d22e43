# Stands in for nixpkgs' packages. What runCommand returns can be built, on a machine that has /bin/sh.
{
  lib,
  system ? "x86_64-linux",
  kedge ? null,
  # What it is given, to look at, and its outputs.
  buildGoModule ?
    module:
    let
      output = outputName: {
        type = "derivation";
        name = module.pname;
        outPath = "/${module.pname}";
        inherit outputName system;
      };
    in
    output "out" // module // lib.genAttrs module.outputs output,
}:
let
  package = name: {
    type = "derivation";
    inherit name system;
    outPath = "/${name}";
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
  pkgs = {
    inherit lib stdenv;

    callPackage =
      f: args:
      import f (
        {
          inherit lib stdenv;
          installShellFiles = package "installShellFiles";
          inherit buildGoModule;
        }
        // args
      );

    formats.yaml = _: {
      type = yaml;
      generate = name: value: builtins.toFile name (builtins.toJSON value); # JSON is YAML
    };

    inherit runCommand;

    writeText = name: text: runCommand name { } text;
    writeShellScript = name: text: runCommand name { } text;
    writeShellScriptBin = name: text: runCommand name { } text;

    mkShell = shell: package "shell" // shell;

    testers = import ./testers.nix { inherit lib pkgs; };
  }
  // lib.genAttrs [
    "bash"
    "coreutils"
    "curl"
    "git"
    "gnugrep"
    "gnupg"
    "gnused"
    "go"
    "golangci-lint"
    "jq"
    "nats-server"
    "natscli"
    "nix"
    "nixfmt"
    "nixfmt-tree"
    "openssh"
    "openssl"
    "systemd"
  ] package
  // lib.optionalAttrs (kedge != null) { inherit kedge; };
in
pkgs
