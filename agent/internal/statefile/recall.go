package statefile

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"kedge/internal/durable"
)

// A Recall is somebody on the host who wants a deployment to go back that is not
// decided yet. It is a file in the runtime directory, so that it needs no agent:
// the one of the new system may be what is wrong.
type Recall struct {
	Deployment string `json:"deployment"` // its ID
	By         string `json:"by,omitempty"`
	Reason     string `json:"reason,omitempty"`
}

// String returns who wants it and why.
func (r Recall) String() string {
	if r.Reason == "" {
		return "by " + r.By
	}
	return "by " + r.By + ": " + r.Reason
}

// Recall replaces the recall.
func (d Dir) Recall(r Recall) error { return d.recall().Write(r) }

// recallPause is between two looks where the file cannot be watched.
const recallPause = time.Second

// AwaitRecall waits until somebody wants the deployment called id to go back, or ctx
// ends, and reports whether it was the former; it looks once in any case. A recall that
// cannot be read is none. Where the file cannot be watched, as another program may have
// all that the kernel has for that, it is looked at every second, which log says once.
func (d Dir) AwaitRecall(ctx context.Context, id string, log *slog.Logger) (r Recall, recalled bool) {
	look := func() bool {
		var err error
		r, err = read(d.recall())
		recalled = err == nil && r.Deployment == id
		return recalled
	}
	err := d.Await(ctx, recallFile, func() (bool, error) { return look(), nil })
	if err != nil && ctx.Err() == nil {
		log.WarnContext(ctx, "whether somebody wants the deployment back is looked at every now and then only", "deployment", id, "err", err)
	}
	for !recalled && !look() {
		select {
		case <-time.After(recallPause):
		case <-ctx.Done():
			return r, false
		}
	}
	return r, true
}

func (d Dir) recall() durable.Document[Recall] {
	return durable.Document[Recall]{Path: filepath.Join(d.Runtime, recallFile), Format: format1}
}
