package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/e2e/fleet"
)

// manualScript is what a person would write for some hosts: one build for all,
// then the other three steps for each host. Its arguments are the flow, which is the
// hosts side by side or in turn, the flake's directory and the names of the hosts. The
// last step is what nixos-rebuild does. It prints when each step has ended.
const manualScript = `set -eu
ended() { echo "$EPOCHREALTIME $*"; }
flow=$1 flake=$2; shift 2
installables=()
for host; do installables+=("$flake#nixosConfigurations.$host.config.system.build.toplevel"); done
systems=($(nix build --no-link --print-out-paths "${installables[@]}"))
ended build

deploy() {
	nix copy --to "ssh://$1" "$2"
	ended copy "$1"
	ssh "$1" nix-env --profile /nix/var/nix/profiles/system --set "$2"
	ended set "$1"
	ssh "$1" systemd-run --quiet --collect --wait --pipe --no-ask-password --service-type=exec \
		--unit=nixos-rebuild-switch-to-configuration "$2/bin/switch-to-configuration" switch
}

running=()
for host; do
	deploy "$host" "${systems[${#running[@]}]}" & running+=($!)
	[ "$flow" = manual ] || wait $!
done
for one in "${running[@]}"; do wait "$one"; done
`

// measureManual does by hand what Kedge does. The clock starts right before
// `nix build`.
func (b *bench) measureManual(ctx context.Context, c change, f flow) (round, error) {
	var answered []time.Time
	g, waiting := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		answered, err = c.answers(waiting)
		return err
	})
	before, err := c.cpuTime()
	if err != nil {
		return round{}, err
	}
	started := time.Now()
	var log string
	g.Go(func() (err error) {
		log, err = b.fleet.Build().Run(waiting, append([]string{"bash", "-c", manualScript, "manual", string(f), fleet.Worktree}, c.names()...)...)
		return err
	})
	if err := g.Wait(); err != nil {
		return round{}, err
	}
	after, err := c.cpuTime()
	if err != nil {
		return round{}, err
	}
	last := slices.MaxFunc(answered, time.Time.Compare)
	parts, err := manualParts(log, c.hosts[slices.Index(answered, last)].Name(), started, last)
	if err != nil {
		return round{}, err
	}
	return round{activated: last.Sub(started), cpu: after - before, parts: parts}, nil
}

// manualParts cuts the way to a host into its parts by what the script printed.
func manualParts(log, host string, started, answered time.Time) (map[part]time.Duration, error) {
	cut := cutter{at: started, parts: map[part]time.Duration{}}
	for line := range strings.Lines(log) {
		words := strings.Fields(line)
		if len(words) < 2 || len(words) > 2 && words[2] != host {
			continue
		}
		at, err := strconv.ParseFloat(words[0], 64)
		if err != nil {
			return nil, fmt.Errorf("read what the steps by hand printed: %w", err)
		}
		cut.until(part(words[1]), time.UnixMicro(int64(at*1e6)))
	}
	for _, p := range []part{partBuild, partCopy, partSet} {
		if _, known := cut.parts[p]; !known {
			return nil, fmt.Errorf("the steps by hand did not print when %s ended: %q", p, log)
		}
	}
	cut.until(partSwitch, answered)
	return cut.parts, nil
}
