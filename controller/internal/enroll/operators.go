package enroll

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"kedge/internal/durable"
	"kedge/proto"
)

// operatorsFormat is the format of the operators' file.
const operatorsFormat = 1

// ErrUnknownOperator says that nobody of that name has credentials that count.
var ErrUnknownOperator = errors.New("has no credentials that count")

// roll is the file of the operators.
type roll struct {
	Operators []proto.Operator `json:"operators"` // oldest first
}

// Operators is a file with every operator that there was. Safe for concurrent use.
type Operators struct {
	file durable.Document[roll]

	mu   sync.Mutex // guards roll
	roll roll
}

// OpenOperators reads the file at path, which need not exist.
func OpenOperators(path string) (*Operators, error) {
	o := &Operators{file: durable.Document[roll]{Path: path, Format: operatorsFormat}}
	var err error
	if o.roll, err = o.file.Read(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return o, nil
}

// Add adds an operator, durably. Others of the same name do not count any more.
func (o *Operators) Add(op proto.Operator) error {
	return o.change(func(r *roll) error {
		for _, other := range r.Operators {
			if other.PublicKey == op.PublicKey {
				return fmt.Errorf("key %s %w: make another one", op.PublicKey, ErrTaken)
			}
		}
		r.revoke(op.Name, op.Added, op.By)
		r.Operators = append(r.Operators, op)
		return nil
	})
}

// Revoke takes back, durably, the credentials of the operator called name. The error
// wraps [ErrUnknownOperator] if there are none that count.
func (o *Operators) Revoke(name string, at time.Time, by string) (op proto.Operator, err error) {
	err = o.change(func(r *roll) error {
		i := r.revoke(name, at, by)
		if i < 0 {
			return fmt.Errorf("operator %q %w", name, ErrUnknownOperator)
		}
		op = r.Operators[i]
		return nil
	})
	return op, err
}

// List returns every operator that there was, the oldest first.
func (o *Operators) List() []proto.Operator {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.roll.Operators)
}

// Revoked is as [Book.Revoked].
func (o *Operators) Revoked(before time.Time) []string {
	var keys []string
	for _, op := range o.List() {
		if !op.Revoked.IsZero() && (op.Expires.IsZero() || !op.Expires.Before(before)) {
			keys = append(keys, op.PublicKey)
		}
	}
	slices.Sort(keys)
	return keys
}

func (o *Operators) change(do func(r *roll) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := roll{Operators: slices.Clone(o.roll.Operators)}
	if err := do(&r); err != nil {
		return err
	}
	if err := o.file.Write(r); err != nil {
		return fmt.Errorf("operators: %w", err)
	}
	o.roll = r
	return nil
}

// revoke takes back the credentials of name, and returns the place of the last of
// those that counted, or -1.
func (r *roll) revoke(name string, at time.Time, by string) int {
	last := -1
	for i := range r.Operators {
		if op := &r.Operators[i]; op.Name == name && op.Revoked.IsZero() {
			op.Revoked, op.RevokedBy, last = at, by, i
		}
	}
	return last
}
