package bus

import "context"

// laterKey is the key of what a context's call leaves to be done, a *[]func().
type laterKey struct{}

// AfterReply has something done as soon as the answer of a call has left for whoever
// called, whom it may cut off; the call is under way until it returns. It is for what
// answers the call, before that returns, with its ctx. If ctx is of no call over NATS it
// is done at once.
func AfterReply(ctx context.Context, do func()) {
	if left, ok := ctx.Value(laterKey{}).(*[]func()); ok {
		*left = append(*left, do)
		return
	}
	do()
}
