package statefile

import (
	"context"
	"path/filepath"

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

// AwaitRecall waits until somebody wants the deployment called id to go back. It
// reports whether that was before ctx ended, or the file could not be watched any
// more. A recall that cannot be read is none.
func (d Dir) AwaitRecall(ctx context.Context, id string) (r Recall, recalled bool) {
	_ = d.Await(ctx, recallFile, func() (bool, error) { // what it fails for is no recall
		var err error
		r, err = read(d.recall())
		recalled = err == nil && r.Deployment == id
		return recalled, nil
	})
	return r, recalled
}

func (d Dir) recall() durable.Document[Recall] {
	return durable.Document[Recall]{Path: filepath.Join(d.Runtime, recallFile), Format: format1}
}
