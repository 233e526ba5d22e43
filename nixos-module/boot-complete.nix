# What boot-complete.target gets besides, as a value of systemd.targets.<name>. A function without
# nixpkgs, as trial-unit.nix.
#
# Where the boot loader counts boots, what was booted is marked as good once this target is reached
# (systemd-bless-boot.service). It is not reached while a boot waits for its judgement: the start
# fails, and nothing else does. The transaction starts it again when it has decided.
#
# stateDir is the agent's
{
  stateDir ? "/var/lib/kedge",
}:
{
  unitConfig.AssertPathExists = "!${stateDir}/trial";
}
