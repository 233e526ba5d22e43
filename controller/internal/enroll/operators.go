package enroll

import (
	"crypto/subtle"
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

// ErrExpired says that an operator's credentials have expired.
var ErrExpired = errors.New("has expired")

// ErrOtherRole says that an operator has credentials for another role.
var ErrOtherRole = errors.New("has another role")

// Why a token does not let its bearer in.
var (
	ErrUnknownToken = errors.New("the token is nobody's")
	ErrTokenRevoked = errors.New("the token was revoked")
	ErrTokenExpired = errors.New("the token has expired")
)

// roll is the file of the operators.
type roll struct {
	Operators []proto.Operator `json:"operators"` // oldest first
}

// Operators is a file with every operator that there was. Safe for concurrent use.
type Operators struct {
	file durable.Document[roll]
	// Shared is as that of a [Book].
	Shared func(path string) error

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

// Add adds an operator, durably, unless these very credentials count already, with the same
// name and role: then what is there stays, and added is false. Other keys of the same name
// do not count any more; or, where op has a token, other tokens. It returns what is there.
// The error wraps [ErrTaken], [ErrOtherRole], [ErrRevoked] or [ErrExpired].
func (o *Operators) Add(op proto.Operator) (there proto.Operator, added bool, err error) {
	err = o.change(func(r *roll) error {
		there, added = op, true
		for _, other := range r.Operators {
			if other.Credential() != op.Credential() {
				continue
			}
			if err := again(other, op); err != nil {
				return fmt.Errorf("%s %w: make another one", op.Credential(), err)
			}
			there, added = other, false
		}
		r.revoke(op.Added, op.By, func(other proto.Operator) bool {
			return other.Name == op.Name && (other.TokenHash == "") == (op.TokenHash == "") && other.Credential() != op.Credential()
		})
		if added {
			r.Operators = append(r.Operators, op)
		}
		return nil
	})
	if err != nil {
		return proto.Operator{}, false, err
	}
	return there, added, nil
}

// again says why op, whose credentials are those of before, is not what is there.
func again(before, op proto.Operator) error {
	switch {
	case before.Name != op.Name:
		return ErrTaken
	case !before.Revoked.IsZero():
		return ErrRevoked
	case before.Role != op.Role:
		return ErrOtherRole
	case !before.Expires.IsZero() && !op.Added.Before(before.Expires):
		return ErrExpired
	}
	return nil
}

// Revoke takes back, durably, all credentials of the operator called name, and returns
// those that counted until now, the newest last: none, when it is repeated. The error
// wraps [ErrUnknownOperator] if nobody of that name is known.
func (o *Operators) Revoke(name string, at time.Time, by string) (revoked []proto.Operator, err error) {
	err = o.change(func(r *roll) error {
		named := func(op proto.Operator) bool { return op.Name == name }
		revoked = r.revoke(at, by, named)
		if !slices.ContainsFunc(r.Operators, named) {
			return fmt.Errorf("operator %q %w", name, ErrUnknownOperator)
		}
		return nil
	})
	return revoked, err
}

// Holder returns the operator whose key it is, or says why that does not count.
func (o *Operators) Holder(publicKey string, now time.Time) (proto.Operator, error) {
	for _, op := range o.List() {
		switch {
		case publicKey == "" || op.PublicKey != publicKey:
			continue
		case !op.Revoked.IsZero():
			return proto.Operator{}, ErrRevoked
		case !op.Expires.IsZero() && !now.Before(op.Expires):
			return proto.Operator{}, ErrExpired
		}
		return op, nil
	}
	return proto.Operator{}, ErrUnknownOperator
}

// Bearer returns the operator whose token t is. The error is [ErrUnknownToken], or says,
// with the operator, why the token does not count any more. How long it takes tells
// nothing of any token.
func (o *Operators) Bearer(t proto.OperatorToken, now time.Time) (proto.Operator, error) {
	hash := []byte(t.Hash())
	var bearer proto.Operator
	for _, op := range o.List() {
		if subtle.ConstantTimeCompare([]byte(op.TokenHash), hash) == 1 {
			bearer = op
		}
	}
	switch {
	case bearer.TokenHash == "":
		return proto.Operator{}, ErrUnknownToken
	case !bearer.Revoked.IsZero():
		return bearer, ErrTokenRevoked
	case !bearer.Expires.IsZero() && !now.Before(bearer.Expires):
		return bearer, ErrTokenExpired
	}
	return bearer, nil
}

// List returns every operator that there was, the oldest first.
func (o *Operators) List() []proto.Operator {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]proto.Operator{}, o.roll.Operators...)
}

// Revoked is as [Book.Revoked]. Tokens are no keys.
func (o *Operators) Revoked(before time.Time) []string {
	var keys []string
	for _, op := range o.List() {
		if op.PublicKey != "" && !op.Revoked.IsZero() && (op.Expires.IsZero() || !op.Expires.Before(before)) {
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
	if o.Shared != nil {
		if err := o.Shared(o.file.Path); err != nil {
			return fmt.Errorf("operators: %w", err)
		}
	}
	o.roll = r
	return nil
}

// revoke takes back credentials that count, and returns them.
func (r *roll) revoke(at time.Time, by string, which func(proto.Operator) bool) (revoked []proto.Operator) {
	for i := range r.Operators {
		if op := &r.Operators[i]; op.Revoked.IsZero() && which(*op) {
			op.Revoked, op.RevokedBy = at, by
			revoked = append(revoked, *op)
		}
	}
	return revoked
}
