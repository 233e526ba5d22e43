package controller

import (
	"slices"

	"kedge/proto"
)

// unlisted returns those of the release keys that have not signed the list of
// withdrawals, which may be nil: then none.
func unlisted(keys []proto.PublicKey, list *proto.Envelope) []proto.PublicKey {
	if list == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(keys), list.SignedBy)
}

// warnUnlisted says that hosts that trust the same release keys refuse all that they are
// told, because of the list of withdrawals that comes with it. A controller that holds a
// release key signs the list itself.
func (c *Controller) warnUnlisted(keys, own []proto.PublicKey, list *proto.Envelope) {
	if list == nil || len(own) > 0 || len(unlisted(keys, list)) < len(keys) {
		return
	}
	c.log.Warn("no release key that is trusted here has signed the list of withdrawals: hosts that trust the same refuse all that they are told; sign it, see docs/keys.md")
}
