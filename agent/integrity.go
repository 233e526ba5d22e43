package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// A Store is the host's Nix store, as far as its content matters.
type Store interface {
	// Added returns what the closures of systems have that since's has not. A
	// system that is not whole does not count; nor does a zero one.
	Added(ctx context.Context, since proto.StorePath, systems ...proto.StorePath) ([]proto.StorePath, error)
	// Changed reads paths, and returns those whose content is not what is
	// registered.
	Changed(ctx context.Context, paths []proto.StorePath) ([]proto.StorePath, error)
	// Mend brings the registered content of a path from one of caches.
	Mend(ctx context.Context, p proto.StorePath, caches []string) error
	// Sync returns once all that was written is on the disk.
	Sync() error
}

// A Power says whether the host is on its way down, and sends it there.
type Power interface {
	GoingDown(ctx context.Context) (bool, error)
	// StartReboot begins the shutdown that ends in another boot, and returns.
	StartReboot(ctx context.Context) error
}

// Limits of the verification.
const (
	// verifyPatience is how long it may keep a deployment from beginning, and take.
	verifyPatience = time.Hour
	verifyRetry    = 10 * time.Minute // after it failed; doubles
	verifyRetryMax = 4 * time.Hour
	mendRetry      = 10 * time.Second // after some path was not mended; doubles
	mendRetryMax   = time.Hour
	// goodbye is how long the last word of a boot may take.
	goodbye = 10 * time.Second
)

// maxNamed is how many corrupt paths a message names.
const maxNamed = 5

// beginBoot notes, before anything is fetched, that this boot has no orderly end
// yet, and what is known of the store. What it cannot read it does not believe;
// that it cannot write is no reason to leave the host alone.
func (a *Agent) beginBoot(ctx context.Context) {
	running := a.running()
	b, err := a.Files.Boot()
	if err != nil {
		a.Log.WarnContext(ctx, "nobody knows how the last boot ended; the store is verified", "err", err)
		b = statefile.Boot{ID: a.Identity.BootID, Unverified: true}
	}
	b = b.In(a.Identity.BootID, running)
	if err := a.Files.SaveBoot(b); err != nil {
		a.Log.ErrorContext(ctx, "the end of this boot will not be known", "err", err)
	}
	a.change(func(v *view) { v.boot, v.verifying = b, b.Unverified })
}

// endBoot notes that the host goes down in order, if it does. While what runs is
// being judged it is not asked whether: the transaction restarts the agent then. A
// host that goes down all the same has its store verified.
func (a *Agent) endBoot(ctx context.Context) {
	if a.judged() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	down, err := a.Power.GoingDown(ctx)
	if err == nil && down {
		if err = a.Store.Sync(); err == nil {
			b := a.look().boot
			b.Clean = true
			err = a.Files.SaveBoot(b)
		}
	}
	if err != nil {
		a.Log.WarnContext(ctx, "an orderly end of this boot is not noted; the store is verified after the next", "err", err)
	}
}

// judged reports whether a transaction judges the system that was activated.
func (a *Agent) judged() bool {
	d, err := a.Files.Deployment()
	if err != nil || d.Phase != proto.PhaseProbation || d.Trial {
		return false
	}
	locked, err := a.Files.TransactionLocked()
	return err == nil && locked
}

// running returns the system that runs; zero if that cannot be said.
func (a *Agent) running() proto.StorePath {
	s, err := a.Systems.Systems()
	if err != nil {
		return proto.StorePath{}
	}
	return s.Toplevel()
}

// verifyStore reads, once in a boot that came after one without an orderly end,
// what was added to the running system since the last one that is known to be
// whole, and has mended what is not. Then it returns. Nothing waits for it but
// new deployments, and those not for ever; a way back never does.
func (a *Agent) verifyStore(ctx context.Context) error {
	for n := 1; a.look().boot.Unverified; n++ {
		err := a.verifyOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		a.change(func(v *view) { v.verifying, v.verifyErr = false, err })
		if a.ask(ctx, ask{}) != nil { // let what waited begin, unless ctx ended
			return nil
		}
		if err == nil {
			break
		}
		a.Log.ErrorContext(ctx, "the store could not be verified", "try", n, "err", err)
		if !pause(ctx, backoff(verifyRetry, verifyRetryMax, n)) {
			return nil
		}
	}
	for n := 1; len(a.look().boot.Corrupt) > 0; n++ {
		a.mend(ctx)
		if len(a.look().boot.Corrupt) > 0 && !pause(ctx, jitter(backoff(mendRetry, mendRetryMax, n))) {
			return nil
		}
	}
	return nil
}

func (a *Agent) verifyOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	b, running := a.look().boot, a.running()
	record, err := a.Files.Deployment()
	if err != nil {
		record.Toplevel = proto.StorePath{} // which is told elsewhere
	}
	paths, err := a.Store.Added(ctx, b.Sound, running, record.Toplevel)
	if err != nil {
		return err
	}
	corrupt, err := a.Store.Changed(ctx, paths)
	if err != nil {
		return err
	}
	a.Log.InfoContext(ctx, "store verified after a boot that had no orderly end", "paths", len(paths), "corrupt", len(corrupt))
	if err := a.keepBoot(b.Verified(running, corrupt)); err != nil || len(corrupt) == 0 {
		return err
	}
	return a.note(proto.Event{Reason: proto.ReasonStoreCorrupt, Message: corrupted(corrupt)})
}

// mend tries once to mend each path that is corrupt.
func (a *Agent) mend(ctx context.Context) {
	v := a.look()
	from := a.Config.Caches
	if v.order != nil {
		from = caches(v.order.Assignment.From(), from)
	}
	for _, p := range v.boot.Corrupt {
		err := a.Store.Mend(ctx, p, from)
		if err == nil {
			err = errors.Join(
				a.keepBoot(a.look().boot.Mended(p)),
				a.note(proto.Event{Message: fmt.Sprintf("mended %s in the store", p)}),
			)
		}
		if err != nil && ctx.Err() == nil {
			a.Log.ErrorContext(ctx, "the store is not mended", "path", p, "err", err)
		}
	}
}

// keepBoot makes b what is known, also to those who ask, whether or not it can
// be saved.
func (a *Agent) keepBoot(b statefile.Boot) error {
	a.change(func(v *view) { v.boot = b })
	return a.Files.SaveBoot(b)
}

// corrupted says which paths are.
func corrupted(paths []proto.StorePath) string {
	var names []string
	for _, p := range paths[:min(len(paths), maxNamed)] {
		names = append(names, p.String())
	}
	if len(paths) > maxNamed {
		names = append(names, "…")
	}
	return fmt.Sprintf("paths of the store that have not the content that is registered (%d): %s", len(paths), strings.Join(names, ", "))
}

// storeValid is the condition of that name.
func storeValid(v view) proto.Condition {
	c := proto.Condition{Type: proto.ConditionStoreValid, Status: proto.StatusTrue}
	switch {
	case len(v.boot.Corrupt) > 0:
		c.Status, c.Reason, c.Message = proto.StatusFalse, proto.ReasonStoreCorrupt, corrupted(v.boot.Corrupt)
	case v.boot.Unverified:
		c.Status, c.Reason = proto.StatusUnknown, proto.ReasonVerifying
		if v.verifyErr != nil {
			c.Message = "tried again: " + v.verifyErr.Error()
		}
	}
	return c
}

func whileVerifying() Decision {
	return Decision{
		Action: ActionRest, Reason: proto.ReasonVerifying,
		Message: "the boot before had no orderly end: what was added to the store is being read",
	}
}

// pause waits for d. It returns false if ctx ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
