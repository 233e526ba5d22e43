package agent

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/agent/internal/credentials"
	"kedge/agent/internal/statefile"
)

// ExporterTimeout is how long who asks for metrics may take.
const ExporterTimeout time.Duration = exporterTimeout

// NewExporter is what [Export] has serve metrics.
func NewExporter(g prometheus.Gatherer) *http.Server { return newExporter(g) }

// Follow is the reconciler without the watches on files, which no bubble of
// synctest can hold.
func (a *Agent) Follow(ctx context.Context) error { return a.follow(ctx, nil, nil) }

// FollowRecord is Follow, woken by changed for the record.
func (a *Agent) FollowRecord(ctx context.Context, changed <-chan struct{}) error {
	return a.follow(ctx, changed, nil)
}

// Tidy is the part of an agent that tidies.
func (a *Agent) Tidy(ctx context.Context) error { return a.tidy(ctx) }

// DrainOutbox is the part of an agent that publishes events.
func (a *Agent) DrainOutbox(ctx context.Context) error { return a.drainOutbox(ctx) }

// BeginBoot is what Run does first for the store.
func (a *Agent) BeginBoot(ctx context.Context) { a.beginBoot(ctx) }

// VerifyStore is what Run does next for it.
func (a *Agent) VerifyStore(ctx context.Context) error { return a.verifyStore(ctx) }

// ErrOutdated ends an agent that is to be started again.
var ErrOutdated = errOutdated

// ThisMachine is what an agent finds out of the machine when it starts.
func ThisMachine(
	ctx context.Context, c Config, root string, files statefile.Dir, log *slog.Logger,
) (instance string, barred credentials.State) {
	return thisMachine(ctx, c, root, files, log)
}

// PublishPause is the least time between two statuses.
const PublishPause = publishPause
