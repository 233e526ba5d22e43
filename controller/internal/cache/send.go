package cache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"kedge/internal/durable"
	"kedge/internal/netrc"
	"kedge/internal/nix"
	"kedge/proto"
)

// sentFor is for how long what was copied need not be looked at again: others may prune
// their caches.
const sentFor = time.Hour

// send copies the closures of systems to all further caches at once, signed by our key
// where we built them, and writes their closure lists where that takes no more than a
// file. What one cache does not take is an error, after all were tried: a host that is
// told of that cache must find it there. The error wraps a [*SlowError] if one had no end.
func (o *Outside) send(ctx context.Context, ours bool, closures Closures) error {
	errs := make([]error, len(o.targets))
	var all sync.WaitGroup
	for i, target := range o.targets {
		all.Go(func() {
			if err := o.sendTo(ctx, i, ours, closures); err != nil {
				errs[i] = fmt.Errorf("copy to %s: %w", target, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// sendTo is send for one of o.targets.
func (o *Outside) sendTo(ctx context.Context, i int, ours bool, closures Closures) error {
	target := o.targets[i]
	timeout := cmp.Or(target.Timeout, o.timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, &SlowError{timeout})
	defer cancel()
	var systems []proto.StorePath
	for s := range closures {
		if !o.wasSent(transfer{i, ours, s}) {
			systems = append(systems, s)
		}
	}
	if len(systems) == 0 {
		return nil
	}
	slices.SortFunc(systems, proto.StorePath.Compare)
	if err := o.copyTo(ctx, target, ours, systems); err != nil {
		return err
	}
	for _, s := range systems {
		if err := o.sendList(ctx, target, s, closures[s].Text()); err != nil {
			// It only spares hosts a download for which they have no room.
			o.log.WarnContext(ctx, "closure list is not in the other cache", "cache", target, "toplevel", s, "err", err)
		}
	}
	if dir, ok := target.dir(); ok {
		if err := o.syncFS(dir); err != nil { // nobody else does, as of a cache of ours
			return fmt.Errorf("put it on the disk: %w", err)
		}
	}
	for _, s := range systems {
		o.noteSent(transfer{i, ours, s})
	}
	return nil
}

// copyTo copies the closures of systems, signed by our key where we built them: by Nix
// on the way where it can, else in the local store before.
func (o *Outside) copyTo(ctx context.Context, target Target, ours bool, systems []proto.StorePath) error {
	if target.isSigned() {
		to, err := target.withKey(o.keyFile, ours)
		if err != nil {
			return err
		}
		if target.isBucket() {
			return o.copyToBucket(ctx, target, to, systems)
		}
		return o.nix.Copy(ctx, nix.CopyOptions{To: to, NetrcFile: target.CredentialsFile, Paths: systems})
	}
	if ours {
		if err := o.nix.Sign(ctx, o.keyFile, systems...); err != nil {
			return err
		}
	}
	if len(target.Command) > 0 {
		return target.run(ctx, systems)
	}
	return o.nix.Copy(ctx, nix.CopyOptions{SSH: target.ssh(), Paths: systems})
}

// sendList writes a closure list. Nix cannot, and only some take a file from others.
func (o *Outside) sendList(ctx context.Context, target Target, system proto.StorePath, list []byte) error {
	u, err := url.Parse(target.URL)
	if err != nil {
		return err
	}
	u.RawQuery = ""
	name := system.Base() + listSuffix
	at := u.JoinPath(closuresDir, name)
	switch {
	case target.isBucket():
		b, err := target.bucket(o.client, o.now)
		if err != nil {
			return err
		}
		return b.put(ctx, closuresDir+"/"+name, list)
	case u.Scheme == "file":
		if err := durable.MkdirAll(filepath.Dir(at.Path), dirPerm); err != nil {
			return err
		}
		return replace(at.Path, list)
	case u.Scheme == "http" || u.Scheme == "https":
		who, err := target.login(u.Hostname())
		if err != nil {
			return err
		}
		return o.put(ctx, at.String(), who, list)
	}
	return nil
}

func (o *Outside) put(ctx context.Context, at string, who netrc.Login, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at, bytes.NewReader(content))
	if err != nil {
		return err
	}
	if who != (netrc.Login{}) {
		req.SetBasicAuth(who.User, who.Password)
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return err
	}
	return answered(resp)
}

// A transfer is of a system to one of the targets, signed by us or not.
type transfer struct {
	target int
	ours   bool
	system proto.StorePath
}

func (o *Outside) wasSent(s transfer) bool {
	o.noting.Lock()
	defer o.noting.Unlock()
	at, sent := o.sent[s]
	return sent && o.now().Sub(at) < sentFor
}

// noteSent remembers, for a while, what need not be asked for again.
func (o *Outside) noteSent(s transfer) {
	o.noting.Lock()
	defer o.noting.Unlock()
	now := o.now()
	maps.DeleteFunc(o.sent, func(_ transfer, at time.Time) bool { return now.Sub(at) >= sentFor })
	o.sent[s] = now
}
