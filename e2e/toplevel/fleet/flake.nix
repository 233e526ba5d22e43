{
  description = "The hosts of a test, without nixpkgs";

  outputs = { self }: import ./fleet.nix (builtins.fromJSON (builtins.readFile ./hosts.json));
}
