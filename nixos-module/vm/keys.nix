# What hosts and controllers of the VM tests know each other by. The secret halves are made where the tests are
# built, of 32 bytes that are all 1, 2 or 3: everybody knows them, and hosts must trust them before they exist.
{ pkgs }:
let
  public = {
    release = "vm-release-1:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";
    controller = "vm-controller-1:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=";
    cache = "vm-cache-1:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E=";
  };
  seeds = {
    release = "1";
    controller = "2";
    cache = "3";
  };

  # In Nix's format: the name, and in base64 the seed and the public key.
  secret =
    role:
    let
      parts = builtins.match "([^:]*):(.*)" public.${role};
    in
    ''
      { printf '\00${seeds.${role}}%.0s' $(seq 32); echo '${builtins.elemAt parts 1}' | base64 -d; } > bytes
      printf '%s:%s\n' '${builtins.elemAt parts 0}' "$(base64 -w0 bytes)" > $out/${role}
    '';
in
{
  trust = {
    releaseKeys = [ public.release ];
    controllerKeys = [ public.controller ];
    cacheKeys = [ public.cache ];
  };

  # Files release, controller and cache, as they are in keys/ of a controller.
  secrets = pkgs.runCommand "kedge-vm-keys" { } ''
    mkdir $out
    ${secret "release"}
    ${secret "controller"}
    ${secret "cache"}
  '';

  # An authority, ca.pem, and what it vouches for: cert.pem and key.pem.
  certificates = pkgs.runCommand "kedge-vm-certificates" { nativeBuildInputs = [ pkgs.openssl ]; } ''
    mkdir $out
    cd $out
    new='req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
    openssl $new -x509 -days 36500 -subj '/CN=Kedge VM tests' -keyout ca.key -out ca.pem
    openssl $new -subj /CN=build -keyout key.pem -out request.pem
    echo 'subjectAltName = DNS:build, DNS:build1, DNS:build2, DNS:nats' > names
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial \
      -days 36500 -extfile names -out cert.pem
  '';
}
