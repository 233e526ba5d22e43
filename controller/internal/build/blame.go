package build

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"kedge/internal/nix"
	"kedge/proto"
)

// blame finds out which hosts have no toplevel after a build failed with failure,
// and which failed derivation each owes that to; or that what a host is built from is not in
// the store any more ([errCollected]). Hosts that have nothing to do with what failed are to
// be built again, without the others: a build host goes on with nothing after the first
// failure, and some versions of Nix do not where something is for a system that nobody
// builds for.
func (b *Builder) blame(ctx context.Context, hosts map[proto.HostName]Evaluation, failure error) (failures map[proto.HostName]error, again map[proto.HostName]Evaluation, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, queryTimeout, fmt.Errorf("no end within %s", queryTimeout))
	defer cancel()
	paths := make([]proto.StorePath, 0, 2*len(hosts))
	for _, e := range sorted(hosts) {
		paths = append(paths, e.Toplevel, e.Derivation)
	}
	invalid, err := b.o.Nix.Invalid(ctx, paths...)
	if err != nil {
		return nil, nil, fmt.Errorf("build: %w; and then: %w", failure, err)
	}
	causes := parseCauses(failure)
	failures, again = make(map[proto.HostName]error), make(map[proto.HostName]Evaluation)
	for host, e := range hosts {
		if !slices.Contains(invalid, e.Toplevel) {
			continue
		}
		if slices.Contains(invalid, e.Derivation) {
			failures[host] = fmt.Errorf("%w: %s", errCollected, e.Derivation)
			continue
		}
		needs := []proto.StorePath{e.Derivation}
		if len(causes) > 0 {
			if needs, err = b.o.Nix.Requisites(ctx, e.Derivation); err != nil && ctx.Err() != nil {
				return nil, nil, fmt.Errorf("build: %w; and then: %w", failure, err)
			}
			if err != nil { // it was collected as garbage, most likely
				failures[host] = fmt.Errorf("what it is built from is not known: %w", explain(err))
				continue
			}
		}
		if own := reasonFor(needs, causes); own != nil {
			failures[host] = own
		} else {
			again[host] = e
		}
	}
	if len(failures) == 0 {
		said := explain(failure)
		for host := range again {
			failures[host] = said
		}
		again = nil
	}
	return failures, again, nil
}

// reasonFor returns the causes that are among what a host needs, and nothing of
// the others; nil if none is.
func reasonFor(needs []proto.StorePath, causes []cause) error {
	var texts []string
	for _, c := range causes {
		if slices.Contains(needs, c.derivation) {
			texts = append(texts, c.text)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(cut(strings.Join(texts, "\n")))
}

// A cause is one derivation that failed by itself, and what Nix said about it.
type cause struct {
	derivation proto.StorePath
	text       string
}

var (
	derivationText = regexp.MustCompile(`/nix/store/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+\.drv`)
	// dependencyText is in the messages about derivations that could not be
	// built because others failed. Those are counted, which the name of a package
	// that is called so does not look like: there is no space in it.
	dependencyText = regexp.MustCompile(`(?m)^\s*(Reason: )?\d+ dependenc(y|ies)\b.*\bfailed\b|\A\s*build of `)
)

// parseCauses returns the failed derivations that the stderr of a build names.
// Nix says "error: builder for '…' failed …" up to 2.30, "error: Cannot build
// '…'." with the reason in the lines below since then; the last lines of the
// builder's log follow.
func parseCauses(failure error) []cause {
	var failed *nix.CommandError
	if !errors.As(failure, &failed) {
		return nil
	}
	var causes []cause
	_, rest, found := strings.Cut("\n"+failed.Stderr, "\nerror:")
	for found {
		var block string
		block, rest, found = strings.Cut(rest, "\nerror:")
		head, _, _ := strings.Cut(block, " log lines:")
		name := derivationText.FindString(head)
		derivation, err := proto.ParseStorePath(name)
		if err != nil || dependencyText.MatchString(head) {
			continue
		}
		causes = append(causes, cause{derivation, unindent(block)})
	}
	return causes
}

// sorted returns the evaluations in the order of their hosts.
func sorted(hosts map[proto.HostName]Evaluation) []Evaluation {
	var in []Evaluation
	for _, host := range slices.SortedFunc(maps.Keys(hosts), proto.HostName.Compare) {
		in = append(in, hosts[host])
	}
	return in
}
