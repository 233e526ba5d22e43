package enroll

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"kedge/proto"
)

// ErrToken says that a token does not count: it never did, it has expired, or it was
// used. Whoever holds it is not told which.
var ErrToken = errors.New("the token is not valid, or not any more")

// ErrTokenUsed says that a token was used already: it is not offered anew.
var ErrTokenUsed = errors.New("the token was used")

// An Offer is a token that was made for a host. Only its hash is kept.
type Offer struct {
	Hash    string    `json:"hash"`
	Made    time.Time `json:"made"`
	By      string    `json:"by"`
	Expires time.Time `json:"expires"`
	// UsedFor is the key that it was used for: a token is used once, and who did not
	// hear the answer may ask again, for the same key.
	UsedFor string `json:"used_for,omitempty"`
}

// Offer lets whoever has a token enrol host, in the place of the offer before. It may be
// repeated until the token is used; then the error wraps [ErrTokenUsed], for it would count
// once more.
func (b *Book) Offer(host proto.HostName, o Offer) error {
	return b.change(host, func(e *entry) error {
		if e.Offer != nil && e.Offer.Hash == o.Hash && e.Offer.UsedFor != "" {
			return fmt.Errorf("%w: make another one", ErrTokenUsed)
		}
		e.Offer = &o
		return nil
	})
}

// Redeem makes k the key of host, as [Book.Enrol] does, if t is the token of its
// offer; who made that is then who vouched for k. Of two who race with one token one
// loses. Errors wrap [ErrToken], or are those of Enrol, which use no token up.
func (b *Book) Redeem(t proto.Token, k Key) error {
	return b.change(t.Host(), func(e *entry) error {
		var o Offer
		if e.Offer != nil {
			o = *e.Offer
		}
		same := subtle.ConstantTimeCompare([]byte(o.Hash), []byte(t.Hash())) == 1
		if !same || !k.Added.Before(o.Expires) || o.UsedFor != "" && o.UsedFor != k.PublicKey {
			return ErrToken
		}
		k.By = o.By
		if err := b.enrol(e, k); err != nil {
			return err
		}
		o.UsedFor = k.PublicKey
		e.Offer = &o
		return nil
	})
}

// enrol makes k the key of e that counts. The caller holds the mutex.
func (b *Book) enrol(e *entry, k Key) error {
	i := e.find(k.PublicKey)
	switch {
	case i < 0 && b.taken(k.PublicKey):
		return fmt.Errorf("key %s %w: make another one", k.PublicKey, ErrTaken)
	case i < 0:
		e.revoke(k.Added, k.By)
		e.Keys = append(e.Keys, k)
		return nil
	case e.Keys[i].IsRevoked():
		return fmt.Errorf("key %s %w: make another one", k.PublicKey, ErrRevoked)
	}
	if before := e.Keys[i].Expires; !before.IsZero() && (k.Expires.IsZero() || k.Expires.After(before)) {
		e.Keys[i].Expires = k.Expires // never sooner: what was made before may be used until then
	}
	if k.Instance != "" {
		e.Keys[i].Instance = k.Instance
	}
	return nil
}
