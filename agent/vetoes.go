package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/logind"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// Inhibitors say who else on the host than the vetoes in its files holds
// something back.
type Inhibitors interface {
	// Vetoes returns who holds back the activation of what was fetched, and who a
	// reboot. Who cannot be asked holds back nothing, and is an error beside what
	// the others said.
	Vetoes(ctx context.Context) (live, reboot []statefile.Veto, err error)
	// Live reports whether any of them may hold back an activation.
	Live() bool
}

// vetoes are all who hold something back.
type vetoes struct {
	live   []statefile.Veto // the activation of what was fetched
	reboot []statefile.Veto
}

// whoInhibits returns who holds something back besides the files: by ask, after each
// look at the host and where it matters to what is decided on r, else as they were
// when they were last asked.
func (a *Agent) whoInhibits(r deployment.Deployment, ask func() vetoes) vetoes {
	if a.inhibitorsKnown && !a.inhibitorsMatter(r) {
		return a.look().inhibitors
	}
	return ask()
}

// inhibitorsMatter reports whether they may hold back what is done next with r, or the
// last resort after it.
func (a *Agent) inhibitorsMatter(r deployment.Deployment) bool {
	return r.Fetched() && a.Inhibitors.Live() || r.Phase == proto.PhaseStaged || wentBack(r)
}

// askInhibitors asks who holds something back besides the files, and keeps the
// answer for those who want to know of it.
func (a *Agent) askInhibitors(ctx context.Context) vetoes {
	var asked vetoes
	var err error
	asked.live, asked.reboot, err = a.Inhibitors.Vetoes(ctx)
	a.tell(ctx, slog.LevelWarn, "who else holds something back is not known, and nobody is taken to", err)
	a.inhibitorsKnown = err == nil
	before := a.look().inhibitors
	if !slices.Equal(before.live, asked.live) || !slices.Equal(before.reboot, asked.reboot) {
		a.change(func(v *view) { v.inhibitors = asked })
	}
	return asked
}

// with returns v and those who hold back everything.
func (v vetoes) with(files []statefile.Veto) vetoes {
	return vetoes{live: slices.Concat(files, v.live), reboot: slices.Concat(files, v.reboot)}
}

// logindInhibitors are those who keep the host up, as far as the configuration
// lets them.
type logindInhibitors struct {
	logind interface {
		Locks(ctx context.Context) ([]logind.Lock, error)
		Users(ctx context.Context) ([]string, error)
	}
	locks, logins InhibitWhen
}

// Vetoes implements [Inhibitors].
func (l logindInhibitors) Vetoes(ctx context.Context) (live, reboot []statefile.Veto, err error) {
	var all vetoes
	var errs [2]error
	if l.locks != InhibitNever {
		var locks []logind.Lock
		locks, errs[0] = l.logind.Locks(ctx)
		for _, k := range locks {
			all.add(l.locks, statefile.Veto{Who: fmt.Sprintf("%s (user %d, process %d)", k.Who, k.UID, k.PID), Why: k.Why})
		}
	}
	if l.logins != InhibitNever {
		var users []string
		users, errs[1] = l.logind.Users(ctx)
		for _, name := range users {
			all.add(l.logins, statefile.Veto{Who: name, Why: "is logged in"})
		}
	}
	return all.live, all.reboot, errors.Join(errs[:]...)
}

// Live implements [Inhibitors].
func (l logindInhibitors) Live() bool { return l.locks == InhibitAlways || l.logins == InhibitAlways }

// add adds who holds back what when says.
func (v *vetoes) add(when InhibitWhen, who statefile.Veto) {
	who = who.Clip()
	v.reboot = append(v.reboot, who)
	if when == InhibitAlways {
		v.live = append(v.live, who)
	}
}
