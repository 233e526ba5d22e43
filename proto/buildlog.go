package proto

import "time"

// A BuildLogRequest asks for what the build of a revision said, from a place on. The
// reply waits, up to Wait, until there is something.
type BuildLogRequest struct {
	Channel  string        `json:"channel,omitempty"` // may be missing where there is one
	Revision Revision      `json:"revision,omitzero"` // zero for the one that was built last
	After    uint64        `json:"after,omitempty"`   // Next of the reply before
	Wait     time.Duration `json:"wait,omitempty"`    // nanoseconds, at most MaxWait
}

// A BuildLogReply is a part of it.
type BuildLogReply struct {
	Channel  string   `json:"channel"`
	Revision Revision `json:"revision"`
	Text     string   `json:"text,omitempty"`  // whole lines
	Next     uint64   `json:"next"`            // what to send as After for what follows
	Ended    bool     `json:"ended,omitempty"` // nothing follows
}
