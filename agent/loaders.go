package agent

import (
	"context"
	"log/slog"

	"kedge/agent/internal/loader"
	"kedge/agent/internal/statefile"
)

// knownLoader returns what the boot loader can do. That it can boot an entry once
// is asked for by a program once in a boot, and anew by every other agent, which
// may know better; whatever else is found out is looked at anew at each start.
// own is the path of this agent's binary.
func knownLoader(ctx context.Context, files statefile.Dir, own string, detect func(context.Context) loader.Support, log *slog.Logger) loader.Support {
	// What cannot be read is found out again, and replaced.
	if known, err := files.Loader(); err == nil && known.Agent == own && own != "" {
		return loader.Support{Loader: known.Name, Protection: loader.OneShot, Asked: true}
	}
	s := detect(ctx)
	if s.Asked {
		if err := files.SaveLoader(statefile.Loader{Agent: own, Name: s.Loader}); err != nil {
			log.WarnContext(ctx, "what the boot loader can do is not remembered, and asked for again at the next start", "err", err)
		}
	}
	return s
}
