package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/summary"
	"kedge/proto"
	"kedge/proto/bus"
)

// hookTimeout is how long a push waits at most for a controller that is not
// there; it finds the push by itself when it is back.
const hookTimeout = 3 * time.Second

func (k *kedge) reconcile() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "reconcile [HOST...]",
		Short: "Make the controller look at its repositories now, and the named hosts at what they shall run",
		Long: `Make the controller look at its git repositories now, and try again what failed.
Hosts that are named look at once at what they shall run. It does not wait for
any of that, unless asked to. A push to a repository on its own machine it sees
by itself; of one elsewhere a post-receive hook may tell it.`,
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the newest revision of every channel is published, or of those that the named hosts follow, and the hosts have come to a verdict")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		hosts, err := parseHosts(args)
		if err != nil {
			return err
		}
		limit := hookTimeout
		if wait {
			limit = waitTimeout
		}
		return k.withController(cmd.Context(), limit, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := call[proto.ReconcileRequest, proto.ReconcileReply](ctx, conn, proto.EndpointReconcile, proto.ReconcileRequest{Hosts: hosts})
			if err != nil {
				return stopped(ctx, err, wait)
			}
			switch {
			case !wait:
				return nil
			case len(r.Sources) == 0:
				return errors.New("there is no revision to wait for: this controller builds nothing; see kedge publish --wait")
			}
			return k.await(ctx, conn, judgeRevision(r.Time, hosts))
		})
	}
	return cmd
}

// judgeRevision waits until the sources were looked at after before, the revisions
// found are published, and the hosts have come to what they come to. Without hosts
// that is all sources, all hosts that are in one, and whatever else is wrong with it.
func judgeRevision(before time.Time, hosts []proto.HostName) judge {
	return func(r proto.FleetReply) ([]judged, bool, error) {
		working := false
		for _, s := range followed(r, hosts) {
			switch {
			case !s.Checked.After(before):
				return nil, false, nil
			case s.Error != "" && (!s.IsBuilt() || !missedSome(r, s, before, len(hosts) > 0)):
				return nil, false, fmt.Errorf("channel %s: %s", s.Channel, s.Error)
			case !s.IsBuilt():
				return nil, false, nil
			}
			working = working || s.Working
		}
		var verdicts []judged
		for _, v := range r.Hosts {
			if len(hosts) == 0 && isIn(v) {
				verdicts = append(verdicts, judgeHost(v, r, before))
			}
		}
		for _, h := range hosts {
			verdicts = append(verdicts, judgeHost(viewOf(h, r), r, before))
		}
		known := len(hosts) > 0 || !working
		return verdicts, known && allEnded(verdicts), nil
	}
}

// followed returns the sources that hosts follow; all of them without hosts, and if
// one of them follows none.
func followed(r proto.FleetReply, hosts []proto.HostName) (sources []proto.SourceStatus) {
	if len(hosts) == 0 {
		return r.Sources
	}
	for _, s := range r.Sources {
		if slices.ContainsFunc(hosts, func(h proto.HostName) bool { return viewOf(h, r).Channel == s.Channel }) {
			sources = append(sources, s)
		}
	}
	if slices.ContainsFunc(hosts, func(h proto.HostName) bool { return viewOf(h, r).Channel == "" }) {
		return r.Sources
	}
	return sources
}

// missedSome reports whether an error of a source is that a part of its newest
// revision was not published: for hosts, as their own problems say, or under names
// that are none, which is not what somebody waits for who named others. Any other
// error is about the source itself, and means that nobody knows what the newest
// revision is.
func missedSome(r proto.FleetReply, s proto.SourceStatus, before time.Time, named bool) bool {
	if named && s.Reason == proto.ReasonBadHostName {
		return true
	}
	return slices.ContainsFunc(r.Hosts, func(v proto.HostView) bool {
		return (v.Channel == s.Channel || v.Channel == "") && isIn(v) && fresh(v.Problem, r, before)
	})
}

// isIn reports whether the newest revision has a host. If it has then something
// was published for it, or it is said why not, or why not yet.
func isIn(v proto.HostView) bool {
	if v.Problem == nil {
		return v.Want.Serial > 0 || v.Waits != nil
	}
	return v.Problem.Reason != proto.ReasonNotInRevision
}

// viewOf returns how a host is, which may not be known any more.
func viewOf(h proto.HostName, r proto.FleetReply) proto.HostView {
	i := slices.IndexFunc(r.Hosts, func(v proto.HostView) bool { return v.Host == h })
	if i < 0 {
		return proto.HostView{Host: h}
	}
	return r.Hosts[i]
}

// fresh reports whether p, which may be nil, is what came of a newest revision since
// before.
func fresh(p *proto.Problem, r proto.FleetReply, before time.Time) bool {
	return p != nil && p.Time.After(before) &&
		slices.ContainsFunc(r.Sources, func(s proto.SourceStatus) bool { return s.Built == p.Revision })
}

// judgeHost judges what the newest revision came to for one host.
func judgeHost(v proto.HostView, r proto.FleetReply, before time.Time) judged {
	j := judged{host: v.Host}
	switch p := v.Problem; {
	case !isIn(v):
		j.outcome, j.why = outcomeBad, "the newest revision has no such host"
	case p == nil && v.Waits != nil:
		j.outcome, j.why = outcomeOfWait(*v.Waits)
	case p == nil:
		j.outcome, j.why = outcomeOf(v, v.Want.Serial)
	case fresh(p, r, before) && p.Reason != proto.ReasonRetrying:
		j.outcome, j.why = outcomeBad, summary.Because("not published", p.Reason, p.Message)
	default:
		j.outcome, j.why = outcomeWaiting, fmt.Sprintf("being tried again: %s", p.Reason)
	}
	return j
}

// outcomeOfWait judges a host that its rollout has not come to.
func outcomeOfWait(w proto.RolloutWait) (outcome, string) {
	if slices.Contains([]proto.Reason{proto.ReasonHalted, proto.ReasonAborted, proto.ReasonReverted}, w.For) {
		return outcomeBad, summary.Because("not published", w.For, w.Message)
	}
	return outcomeWaiting, cmp.Or(w.Message, string(w.For))
}
