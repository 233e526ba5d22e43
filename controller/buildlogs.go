package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"kedge/controller/internal/build"
	"kedge/controller/internal/buildlog"
	"kedge/proto"
	"kedge/proto/bus"
)

// buildLogsDir is in the state directory.
const buildLogsDir = "build-logs"

// build builds what was evaluated, and keeps what is said of it.
func (d *deployer) build(ctx context.Context, rev proto.Revision, e build.Evaluations) (build.Builds, error) {
	log, err := d.logs.Begin(d.channel, rev)
	if err != nil {
		d.log.WarnContext(ctx, "log of the build not kept whole", "err", err)
	}
	for _, n := range e.Names {
		log.Line("", n.Error())
	}
	logFailed(log, e.Failed)
	builds, err := d.builder.Build(ctx, e, log.Line)
	logFailed(log, builds.Failed)
	switch {
	case ctx.Err() != nil:
		log.End(fmt.Sprintf("ended early: %v", context.Cause(ctx)))
	case err != nil:
		log.End(fmt.Sprintf("nothing was built: %v", err))
	default:
		log.End(fmt.Sprintf("%d systems are built; %d hosts have none", len(builds.Toplevels), len(e.Failed)+len(builds.Failed)))
	}
	return builds, err
}

// logFailed says which hosts have no system. Why Nix has said already, of builds.
func logFailed(log *buildlog.Log, failed map[proto.HostName]*build.HostError) {
	for _, host := range slices.SortedFunc(maps.Keys(failed), proto.HostName.Compare) {
		log.Line("", fmt.Sprintf("host %s: %s: %v", host, failed[host].Reason, failed[host]))
	}
}

// buildLogCall answers with a page of a log.
func (a *api) buildLogCall(ctx context.Context, _ bus.Caller, req proto.BuildLogRequest) (proto.BuildLogReply, error) {
	if err := inRange("wait", req.Wait, proto.MaxWait); err != nil {
		return proto.BuildLogReply{}, err
	}
	channel, err := a.channelOf(req.Channel)
	if err != nil {
		return proto.BuildLogReply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, req.Wait)
	defer cancel()
	page, err := a.logs.Read(ctx, channel, req.Revision, int64(min(req.After, 1<<62))) //nolint:gosec // bounded
	if errors.Is(err, buildlog.ErrUnknown) {
		return proto.BuildLogReply{}, bus.Errorf(bus.CodeNotFound, "channel %s: %v", channel, err)
	}
	return proto.BuildLogReply{
		Channel: channel, Revision: page.Revision, Text: page.Text, Next: uint64(max(page.Next, 0)), Ended: page.Ended, //nolint:gosec // not negative
	}, err
}

// channelOf returns the channel that a caller means, who need not name the only one.
func (a *api) channelOf(name string) (string, error) {
	var names []string
	for _, s := range a.fleet.Sources() {
		names = append(names, s.Channel)
	}
	switch {
	case slices.Contains(names, name):
		return name, nil
	case name != "":
		return "", bus.Errorf(bus.CodeNotFound, "there is no channel %q; there are %q", name, names)
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "", bus.Errorf(bus.CodeNotFound, "this controller builds nothing")
	}
	return "", bus.Errorf(bus.CodeBadRequest, "name one of the channels %q", names)
}
