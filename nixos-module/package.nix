# The programs, statically linked: kedge and kedge-controller, and kedge-agent as an output of its own,
# since it is all that hosts need. Needs Go 1.26 or newer, as go.mod says.
{
  lib,
  buildGoModule,
  version,
}:
let
  inherit (lib) fileset;
in
buildGoModule {
  pname = "kedge";
  inherit version;
  # What the programs are made of and nothing else: another test makes no other program.
  src = fileset.toSource {
    root = ../.;
    fileset = fileset.difference (fileset.unions [
      ../go.mod
      ../go.sum
      ../agent
      ../cmd
      ../controller
      ../internal
      ../proto
    ]) (fileset.fileFilter (file: lib.hasSuffix "_test.go" file.name) ../.);
  };
  # Of the folder that `go mod vendor` makes in src. The test of package_e2e_test.go says when it is
  # another one, and `make vendor-hash` writes it.
  vendorHash = lib.fileContents ./vendor-hash;
  subPackages = [
    "cmd/kedge"
    "cmd/kedge-agent"
    "cmd/kedge-controller"
  ];
  env.CGO_ENABLED = 0;
  ldflags = [
    "-s"
    "-X main.version=${version}"
  ];
  outputs = [
    "out"
    "agent"
  ];
  postInstall = ''
    moveToOutput bin/kedge-agent "$agent"
  '';
  meta = {
    description = "Continuous delivery for NixOS fleets: hosts pull, prove and roll back by themselves";
    license = lib.licenses.mit;
    mainProgram = "kedge";
    platforms = lib.platforms.linux;
  };
}
