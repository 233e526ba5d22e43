package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The errors that callers branch on.
var (
	ErrNotConnected = errors.New("not connected to NATS")
	ErrClosed       = errors.New("connection is closed")
	ErrTimeout      = errors.New("no answer in time")
	ErrNoResponders = errors.New("nobody answers there")
	ErrDenied       = errors.New("permission denied")
	ErrTooLarge     = errors.New("message is too large")
	ErrNoDesired    = errors.New("no desired state")
	ErrNotFound     = errors.New("not found")
	ErrConflict     = errors.New("changed by somebody else meanwhile")
	// ErrNotAuthorized is wrapped by [State]'s Err when the server did not take the
	// credentials.
	ErrNotAuthorized = errors.New("the credentials are not taken")
	ErrNoController  = errors.New("no controller answers")
)

// Transient reports whether the same thing may succeed later, because nobody
// answered this time.
func Transient(err error) bool {
	return errors.Is(err, ErrNotConnected) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrNoResponders)
}

// taken returns err, such that it wraps [ErrNotAuthorized] if it says that.
func taken(err error) error {
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked} {
		if errors.Is(err, refusal) && !errors.Is(err, ErrNotAuthorized) {
			return fmt.Errorf("%w: %w", ErrNotAuthorized, err)
		}
	}
	return err
}

// translate returns err in terms of this package's errors where there is one
// for it.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return ErrNoResponders
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound):
		return fmt.Errorf("%w: %w", ErrNoResponders, err) // not made yet, or again
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, nats.ErrPermissionViolation):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionReconnecting),
		errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, nats.ErrConnectionDraining):
		return fmt.Errorf("%w: %w", ErrNotConnected, err)
	case errors.Is(err, jetstream.ErrKeyRevisionMismatch), errors.Is(err, jetstream.ErrKeyExists):
		return ErrConflict
	}
	return err
}
