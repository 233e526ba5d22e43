package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
)

// logBytes is how many bytes of text a reply has at most, twice of what an agent sends of
// a deployment: JSON may make them six times as long, and a message has a limit.
const logBytes = 512 << 10

// HostLog returns what the activations of a deployment said, the newest of it where that
// is too much. What cannot be read is left out. Errors wrap [ErrNotFound] if there is nothing of it.
func (f *Fleet) HostLog(ctx context.Context, r proto.HostLogRequest) (proto.HostLogReply, error) {
	logs, err := f.hostLogs(ctx, r.Host)
	if err == nil && r.Deployment == "" && len(logs) > 0 {
		r.Deployment = logs[len(logs)-1].Deployment
	}
	runs := joined(newest(logs, r.Deployment, logBytes))
	if err == nil && len(runs) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return proto.HostLogReply{}, fmt.Errorf("log of %s: %w", r.Host, err)
	}
	return proto.HostLogReply{Host: r.Host, Deployment: r.Deployment, Runs: runs}, nil
}

// hostLogs returns the messages of logs that are kept of a host, oldest first. Of one
// that goes on sending meanwhile it returns no more than are kept of a host.
func (f *Fleet) hostLogs(ctx context.Context, host proto.HostName) ([]proto.Log, error) {
	a, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	s, err := a.js.Stream(ctx, proto.StreamLogs)
	if err != nil {
		return nil, translate(err)
	}
	var logs []proto.Log
	next := s.CachedInfo().State.FirstSeq
	for range proto.MaxLogs {
		m, err := s.GetMsg(ctx, max(next, 1), jetstream.WithGetMsgSubject(proto.LogSubject(host)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, translate(err)
		}
		next = m.Sequence + 1
		if l, err := proto.ParseLog(m.Data); err == nil && l.Host == host {
			logs = append(logs, l)
		}
	}
	return logs, nil
}

// newest returns the last of the logs that are of a deployment, with at most that many
// bytes of text.
func newest(logs []proto.Log, deployment string, most int) []proto.Log {
	logs = slices.DeleteFunc(slices.Clone(logs), func(l proto.Log) bool { return l.Deployment != deployment })
	for i, l := range slices.Backward(logs) {
		if most -= len(l.Text); most < 0 {
			return logs[i+1:]
		}
	}
	return logs
}

// joined returns the runs that logs are of in the order in which they were sent: those
// parts of each that are there, each once.
func joined(logs []proto.Log) []proto.HostLogRun {
	var runs []proto.HostLogRun
	parts := map[time.Time][]proto.Log{} // of a run, by when it ended
	var order []time.Time
	for _, l := range logs {
		run := l.Time.UTC()
		if parts[run] == nil {
			order = append(order, run)
		}
		parts[run] = append(parts[run], l)
	}
	for _, at := range order {
		run := parts[at]
		slices.SortStableFunc(run, func(a, b proto.Log) int { return cmp.Compare(a.Part, b.Part) })
		run = slices.CompactFunc(run, func(a, b proto.Log) bool { return a.Part == b.Part })
		l := run[0]
		whole := proto.HostLogRun{Toplevel: l.Toplevel, Phase: l.Phase, Mode: l.Mode, Time: l.Time, Cut: l.Cut || len(run) < l.Parts}
		for _, part := range run {
			whole.Text += part.Text
		}
		runs = append(runs, whole)
	}
	return runs
}
