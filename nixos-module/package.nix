# The three programs, statically linked.
{
  lib,
  buildGoModule,
  version,
}:
buildGoModule {
  pname = "kedge";
  inherit version;
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../go.mod
      ../go.sum
      ../agent
      ../cmd
      ../controller
      ../internal
      ../proto
    ];
  };
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
  meta = {
    description = "Continuous delivery for NixOS fleets: hosts pull, prove and roll back by themselves";
    license = lib.licenses.mit;
    mainProgram = "kedge";
    platforms = lib.platforms.linux;
  };
}
