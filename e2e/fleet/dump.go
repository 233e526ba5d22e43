package fleet

import (
	"context"
	"os"
	"time"
)

// dumpTimeout bounds how long is looked for logs.
const dumpTimeout = time.Minute

// Dump prints what the machines have logged, also when ctx has ended. It takes
// a minute at most.
func (f *Fleet) Dump(ctx context.Context, printf func(format string, args ...any)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dumpTimeout)
	defer cancel()
	journal := func(name, unit string, run func(context.Context, ...string) (string, error)) {
		out, err := run(ctx, "journalctl", "--no-pager", "-o", "short-precise", "-n", "80", "-u", unit)
		printf("==== %s: %s (%v)\n%s", name, unit, err, out)
	}
	journal("build", ControllerUnit, f.build.Run)
	for _, h := range f.Hosts() {
		journal(h.Name(), "kedge-agent.service", h.Run)
		journal(h.Name(), "kedge-transact-*", h.Run)
		if b, err := h.readFile(ctx, stateDir+"/deployment.json"); err == nil {
			printf("==== %s: record\n%s", h.Name(), b)
		}
		if h.computer != nil {
			b, err := os.ReadFile(h.computer.Console())
			printf("==== %s: console (%v)\n%s", h.Name(), err, b)
		}
	}
}
