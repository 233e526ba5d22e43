# The programs, statically linked: kedge and kedge-controller, and kedge-agent as an output of its own,
# since it is all that hosts need. Needs Go 1.26 or newer, as go.mod says, and is built with the one of
# nixpkgs (in autumn 2026 its newest was 1.27.2), not with the toolchain of go.mod, which was tested and
# looked at for vulnerabilities: what is fixed in Go comes with a newer nixpkgs.
{
  lib,
  stdenv,
  buildGoModule,
  installShellFiles,
  version,
}:
let
  inherit (lib) fileset;
in
buildGoModule {
  pname = "kedge";
  inherit version;
  # What the programs are made of and nothing else.
  src = fileset.toSource {
    root = ../.;
    fileset = fileset.difference (fileset.unions [
      ../go.mod
      ../go.sum
      ../agent
      ../cmd
      ../controller
      ../docs/alerts
      ../docs/api
      ../docs/dashboards
      ../docs/man
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
  nativeBuildInputs = [ installShellFiles ];
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
    installManPage docs/man/*.1
    install -D --mode=444 --target-directory=$out/share/kedge/alerts docs/alerts/*.rules.yml
    install -D --mode=444 --target-directory=$out/share/kedge/dashboards docs/dashboards/*.json
  ''
  + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for program in kedge kedge-agent kedge-controller; do
      installShellCompletion --cmd $program \
        --bash <($out/bin/$program completion bash) \
        --zsh <($out/bin/$program completion zsh) \
        --fish <($out/bin/$program completion fish)
    done
  ''
  + ''
    for files in \
      "bin/kedge-agent" \
      "share/bash-completion/completions/kedge-agent*" \
      "share/zsh/site-functions/_kedge-agent" \
      "share/fish/vendor_completions.d/kedge-agent*"; do
      moveToOutput "$files" "$agent"
    done
  '';
  # stdenv puts the manual pages of all outputs into the first when it fixes them up.
  postFixup = ''
    moveToOutput "share/man/man1/kedge-agent*" "$agent"
  '';
  meta = {
    description = "Continuous delivery for NixOS fleets: hosts pull, prove and roll back by themselves";
    license = lib.licenses.mit;
    mainProgram = "kedge";
    platforms = lib.platforms.linux;
  };
}
