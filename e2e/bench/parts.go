package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"kedge/e2e/fleet"
	"kedge/proto"
)

// A part is a stretch of the way from the beginning to the commit, or by hand to
// the activation. Each begins where the one before ends.
type part string

// The parts.
const (
	partTrigger    part = "trigger"    // git push, and until it was seen
	partSource     part = "source"     // the revision fetched and checked out
	partEvaluation part = "evaluation" // of every host
	partBuild      part = "build"
	partCache      part = "cache" // copied into the binary cache, with its signatures
	partSign       part = "sign"
	partPublish    part = "publish"   // until the host's desired state is stored
	partNotify     part = "notify"    // until the host has accepted it
	partFetch      part = "fetch"     // until it is in the host's store, checked
	partStart      part = "start"     // of the transaction
	partActivate   part = "activate"  // switch-to-configuration test
	partProbation  part = "probation" // the grace period and what comes after it
	partRegister   part = "register"  // the system profile
	partCommit     part = "commit"    // the boot default, the record

	// By hand, evaluation and build are one step.
	partCopy   part = "copy"   // nix copy --to ssh://
	partSet    part = "set"    // nix-env --set
	partSwitch part = "switch" // switch-to-configuration switch, until the service answers
)

// partsOf returns the parts of a flow, in their order.
func partsOf(f flow) []part {
	if f == byHand {
		return []part{partBuild, partCopy, partSet, partSwitch}
	}
	return []part{
		partTrigger, partSource, partEvaluation, partBuild, partCache, partSign, partPublish,
		partNotify, partFetch, partStart, partActivate, partProbation, partRegister, partCommit,
	}
}

// stages is the controller's share of the way, from its log.
type stages struct {
	pushed    time.Time
	found     time.Time                // the revision
	took      map[string]time.Duration // by stage
	published map[string]time.Time     // by host
}

// stages reads what the controller has logged about a revision.
func (b *bench) stages(ctx context.Context, pushed time.Time, rev proto.Revision) (stages, error) {
	out, err := b.fleet.Build().Run(ctx, "journalctl", "--no-pager", "--output=json", "--unit=kedge-controller.service",
		fmt.Sprintf("--since=@%d", pushed.Unix()), "--grep="+rev.String())
	if err != nil {
		return stages{}, fmt.Errorf("read the controller's log: %w", err)
	}
	s, err := parseStages([]byte(out))
	if err != nil {
		return stages{}, fmt.Errorf("read the controller's log: %w", err)
	}
	s.pushed = pushed
	return s, nil
}

// lapText is how the controller logs the duration of a stage, and hostText for
// whom it published.
var (
	lapText  = regexp.MustCompile(`\btook\.(\w+)=(\S+)`) //nolint:gochecknoglobals // compiled once
	hostText = regexp.MustCompile(`\bhost=(\S+)`)        //nolint:gochecknoglobals // compiled once
)

// parseStages reads the journal's JSON lines about one revision.
func parseStages(journal []byte) (stages, error) {
	s := stages{took: map[string]time.Duration{}, published: map[string]time.Time{}}
	for line := range bytes.Lines(journal) {
		var entry struct {
			Message string `json:"MESSAGE"`
			Micros  string `json:"__REALTIME_TIMESTAMP"`
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			return s, err
		}
		micros, err := strconv.ParseInt(entry.Micros, 10, 64)
		if err != nil {
			return s, err
		}
		at := time.UnixMicro(micros)
		switch {
		case strings.Contains(entry.Message, `msg="revision found"`):
			s.found = at
		case strings.Contains(entry.Message, "msg=published "):
			if host := hostText.FindStringSubmatch(entry.Message); host != nil {
				s.published[host[1]] = at
			}
		}
		for _, lap := range lapText.FindAllStringSubmatch(entry.Message, -1) {
			if s.took[lap[1]], err = time.ParseDuration(lap[2]); err != nil {
				return s, err
			}
		}
	}
	if s.found.IsZero() || len(s.took) == 0 {
		return s, fmt.Errorf("it does not say how long the stages took: %s", journal)
	}
	return s, nil
}

// parts cuts the way to a host that has committed into its parts.
func (s stages) parts(h *fleet.Host, r fleet.Record) (map[part]time.Duration, error) {
	profile, err := os.Lstat(filepath.Join(h.Root(), "/nix/var/nix/profiles/system"))
	if err != nil {
		return nil, fmt.Errorf("%s: look when the system was registered: %w", h.Name(), err)
	}
	published, known := s.published[h.Name()]
	if !known {
		return nil, fmt.Errorf("%s: the controller's log does not say when it published", h.Name())
	}
	cut := cutter{at: s.pushed, parts: map[part]time.Duration{}}
	cut.until(partTrigger, s.found)
	for _, p := range []part{partSource, partEvaluation, partBuild, partCache, partSign} {
		cut.until(p, cut.at.Add(s.took[string(p)]))
	}
	cut.until(partPublish, published)
	cut.until(partNotify, r.Entered(proto.PhaseAccepted))
	cut.until(partFetch, r.Entered(proto.PhaseFetched))
	cut.until(partStart, r.Entered(proto.PhaseActivating))
	cut.until(partActivate, r.Entered(proto.PhaseProbation))
	cut.until(partProbation, r.Entered(proto.PhaseCommitting))
	cut.until(partRegister, profile.ModTime())
	cut.until(partCommit, r.Entered(proto.PhaseCommitted))
	return cut.parts, nil
}

// A cutter cuts a stretch of time into parts.
type cutter struct {
	at    time.Time
	parts map[part]time.Duration
}

// until ends a part. Times that come from two logs may be out of order by their
// precision; such a part is empty.
func (c *cutter) until(p part, end time.Time) {
	c.parts[p] = max(0, end.Sub(c.at))
	if end.After(c.at) {
		c.at = end
	}
}
