package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// textfilePeriod is how often a textfile is written: as often as it is read, as a rule.
const textfilePeriod = 15 * time.Second

// A Textfile is a file with metrics for node_exporter.
type Textfile struct {
	path   string
	from   prometheus.Gatherer
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{}
}

// ExportTextfile keeps what g has in a file at path, which is replaced as a whole, until Close; there is none
// with an empty path. Where the file cannot be written that is logged, once for each time that this begins, and
// tried again.
func ExportTextfile(ctx context.Context, path string, g prometheus.Gatherer, log *slog.Logger) *Textfile {
	ctx, cancel := context.WithCancel(ctx)
	f := &Textfile{path: path, from: g, log: log, cancel: cancel, done: make(chan struct{})}
	if path == "" {
		close(f.done)
		return f
	}
	go f.keep(ctx)
	return f
}

// keep writes the file again and again until ctx ends.
func (f *Textfile) keep(ctx context.Context) {
	defer close(f.done)
	tick := time.NewTicker(textfilePeriod)
	defer tick.Stop()
	for failed := false; ; {
		err := prometheus.WriteToTextfile(f.path, f.from)
		if err != nil && !failed {
			f.log.WarnContext(ctx, "metrics are not written; it is tried again", "err", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Close ends the writing, and removes the file: what nobody keeps true is not shown.
func (f *Textfile) Close() {
	f.cancel()
	<-f.done
	if f.path == "" {
		return
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.log.Warn("metrics are still there, and not true any more", "err", err)
	}
}
