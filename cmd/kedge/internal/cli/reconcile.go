package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

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
		Short: "Make the controller look at its repository now, and the named hosts at what they shall run",
		Long: `Make the controller look at its git repository now, and try again what failed.
Hosts that are named look at once at what they shall run. It does not wait for
any of that, unless asked to. A push to a repository on its own machine it sees
by itself; of one elsewhere a post-receive hook may tell it.`,
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the newest revision is published, and the named hosts (or all that are in it) have come to a verdict")
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
			case r.Source.URL == "":
				return errors.New("there is no revision to wait for: this controller builds nothing; see kedge publish --wait")
			}
			return k.await(ctx, conn, judgeRevision(r.Time, hosts))
		})
	}
	return cmd
}

// judgeRevision waits until the source was looked at after before, the revision
// found is published, and the hosts have come to what they come to. Without hosts
// that is all that are in it, and whatever else is wrong with it.
func judgeRevision(before time.Time, hosts []proto.HostName) judge {
	return func(r proto.FleetReply) ([]judged, bool, error) {
		if !r.Source.Checked.After(before) {
			return nil, false, nil
		}
		built := r.Revision == r.Source.Revision && !r.Revision.IsZero()
		switch {
		case r.Source.Error != "" && (!built || !missedSome(r, before, len(hosts) > 0)):
			return nil, false, errors.New(r.Source.Error)
		case !built:
			return nil, false, nil
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
		known := len(hosts) > 0 || !r.Source.Working
		return verdicts, known && allEnded(verdicts), nil
	}
}

// missedSome reports whether an error of the source is that a part of the newest
// revision was not published: for hosts, as their own problems say, or under names
// that are none, which is not what somebody waits for who named others. Any other
// error is about the source itself, and means that nobody knows what the newest
// revision is.
func missedSome(r proto.FleetReply, before time.Time, named bool) bool {
	if named && r.Source.Reason == proto.ReasonBadHostName {
		return true
	}
	return slices.ContainsFunc(r.Hosts, func(v proto.HostView) bool { return isIn(v) && fresh(v.Problem, r, before) })
}

// isIn reports whether the newest revision has a host. If it has then something
// was published for it, or it is said why not.
func isIn(v proto.HostView) bool {
	if v.Problem == nil {
		return v.Want.Serial > 0
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

// fresh reports whether p, which may be nil, is what came of the newest revision
// since before.
func fresh(p *proto.Problem, r proto.FleetReply, before time.Time) bool {
	return p != nil && p.Revision == r.Revision && p.Time.After(before)
}

// judgeHost judges what the newest revision came to for one host.
func judgeHost(v proto.HostView, r proto.FleetReply, before time.Time) judged {
	j := judged{host: v.Host}
	switch p := v.Problem; {
	case !isIn(v):
		j.outcome, j.why = outcomeBad, "the newest revision has no such host"
	case p == nil:
		j.outcome, j.why = outcomeOf(v, v.Want.Serial)
	case fresh(p, r, before) && p.Reason != proto.ReasonRetrying:
		j.outcome, j.why = outcomeBad, because("not published", p.Reason, p.Message)
	default:
		j.outcome, j.why = outcomeWaiting, fmt.Sprintf("being tried again: %s", p.Reason)
	}
	return j
}
