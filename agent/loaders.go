package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"kedge/agent/internal/loader"
	"kedge/agent/internal/statefile"
)

// loaderPatience is how long an agent that starts waits to hear what the boot loader can
// do. Only a reboot needs that, and systemd ends an agent that is not ready in 90 s.
const loaderPatience = 20 * time.Second

// knownLoader returns what the boot loader can do. That it can boot an entry once
// is asked for by a program once in a boot, and anew by every other agent, which
// may know better; whatever else is found out is looked at anew at each start.
// own is the path of this agent's binary.
func knownLoader(ctx context.Context, files statefile.Dir, own string, detect func(context.Context) loader.Support, log *slog.Logger) loader.Support {
	// What cannot be read is found out again, and replaced.
	if known, err := files.Loader(); err == nil && known.Agent == own && own != "" {
		return loader.Support{Loader: known.Name, Protection: loader.OneShot, Asked: true}
	}
	s := inTime(ctx, detect)
	if s.Asked {
		if err := files.SaveLoader(statefile.Loader{Agent: own, Name: s.Loader}); err != nil {
			log.WarnContext(ctx, "what the boot loader can do is not remembered, and asked for again at the next start", "err", err)
		}
	}
	return s
}

// inTime returns what detect does, or in its place that nothing is known, where a disk
// does not answer. Then detect goes on by itself until the kernel lets it go: nobody can
// end a read of a file.
func inTime(ctx context.Context, detect func(context.Context) loader.Support) loader.Support {
	ctx, cancel := context.WithTimeout(ctx, loaderPatience)
	defer cancel()
	found := make(chan loader.Support, 1)
	go func() { found <- detect(ctx) }()
	select {
	case s := <-found:
		return s
	case <-ctx.Done():
		return loader.Support{Protection: loader.None, Reason: fmt.Sprintf("the boot loader's files did not say in %s what it can do", loaderPatience)}
	}
}
