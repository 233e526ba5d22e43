package controller

import (
	"fmt"

	"kedge/controller/internal/source"
)

// A SignaturesConfig says who must have signed the commits of a channel.
type SignaturesConfig struct {
	Required           bool   `config:"required"`
	AllowedSignersFile string `config:"allowed_signers_file"` // read at each revision; see ssh-keygen(1)
}

// problems are what is wrong with c, whose key is key.
func (c SignaturesConfig) problems(key string) []error {
	switch {
	case c.Required:
		if err := absolute(key+".allowed_signers_file", c.AllowedSignersFile); err != nil {
			return []error{err}
		}
	case c.AllowedSignersFile != "":
		return []error{fmt.Errorf("%s.required: must be true where there is allowed_signers_file", key)}
	}
	return nil
}

// A ForcePush is what becomes of a branch that was pushed over. Values are in
// configurations.
type ForcePush string

// What becomes of a branch that was pushed over.
const (
	ForcePushAccept ForcePush = "accept" // it is deployed
	ForcePushRefuse ForcePush = "refuse"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *ForcePush) UnmarshalText(b []byte) error {
	switch ForcePush(b) {
	case ForcePushAccept, ForcePushRefuse:
		*p = ForcePush(b)
		return nil
	}
	return fmt.Errorf("must be accept or refuse, got %q", b)
}

// policy returns which revisions may be deployed.
func (c SourceConfig) policy() source.Policy {
	return source.Policy{AllowedSigners: c.Signatures.AllowedSignersFile, RefuseForcePush: c.ForcePush == ForcePushRefuse}
}
