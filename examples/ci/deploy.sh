#!/bin/sh
# What CI runs: builds every host that the agent runs on, copies it into CI's cache, signed, signs a release for
# it, and publishes the releases: those of CANARIES first. It fails if a host goes back, and after
# half an hour if one does not answer.
#
# RELEASE_KEY, CACHE_KEY   files with the secret keys, of CI alone
# CREDS                    file with an operator's credentials: kedge operator add ci --role admin --out ci.creds
#                          ci.json, which that writes too, beside it; or KEDGE_SERVER and KEDGE_PINS
# CACHE                    where Nix copies to, such as s3://… or ssh-ng://…; the controller reads it by HTTP
# CANARIES                 hosts that go first, and are waited for
set -eu

with_agent='all: builtins.filter (host: all.${host}.config.services.kedge-agent.enable) (builtins.attrNames all)'
hosts=$(nix eval --raw .#nixosConfigurations --apply "all: toString (($with_agent) all)")
revision=$(git rev-parse HEAD)
releases=$(mktemp -d)
trap 'rm -rf "$releases"' EXIT

for host in $hosts; do
	toplevel=$(nix build --no-link --print-out-paths ".#nixosConfigurations.$host.config.system.build.toplevel")
	nix store sign --recursive --key-file "$CACHE_KEY" "$toplevel"
	nix copy --to "$CACHE" "$toplevel"
	kedge release sign "$host=$toplevel" --revision "$revision" --key "$RELEASE_KEY" --out "$releases/$host"
done

if [ -n "${CANARIES:-}" ]; then
	canaries=
	for host in $CANARIES; do
		canaries="$canaries $releases/$host"
	done
	# shellcheck disable=SC2086 # a list
	kedge publish $canaries --creds "$CREDS" --wait
fi
kedge publish "$releases"/* --creds "$CREDS" --wait # the canaries are there already, and done
