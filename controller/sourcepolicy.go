package controller

import (
	"fmt"
	"maps"
	"slices"

	"kedge/controller/internal/source"
)

// A SignaturesConfig says who must have signed the commits of a channel: by SSH, or
// by OpenPGP, or either. The files are read at each revision.
type SignaturesConfig struct {
	Required           bool                 `config:"required"`
	AllowedSignersFile string               `config:"allowed_signers_file"` // of SSH; see ssh-keygen(1)
	GPGKeysFile        string               `config:"gpg_keys_file"`        // public keys, as gpg --export writes them
	GPGFingerprints    []source.Fingerprint `config:"gpg_fingerprints"`     // of those among them that count
}

// problems are what is wrong with c, whose key is key.
func (c SignaturesConfig) problems(key string) (problems []error) {
	files := map[string]string{"allowed_signers_file": c.AllowedSignersFile, "gpg_keys_file": c.GPGKeysFile}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if files[name] != "" {
			problems = append(problems, absolute(key+"."+name, files[name]))
		}
	}
	if (c.GPGKeysFile != "") != (len(c.GPGFingerprints) > 0) {
		problems = append(problems, fmt.Errorf("%s.gpg_fingerprints: must name the keys in gpg_keys_file that count, and be empty without it", key))
	}
	switch {
	case c.Required && c.AllowedSignersFile == "" && c.GPGKeysFile == "":
		problems = append(problems, fmt.Errorf("%s.allowed_signers_file: must say who signs where signatures are required, or gpg_keys_file must", key))
	case !c.Required && (c.AllowedSignersFile != "" || c.GPGKeysFile != ""):
		problems = append(problems, fmt.Errorf("%s.required: must be true where there is a file of signers", key))
	}
	return problems
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
	s := c.Signatures
	return source.Policy{
		Signers:         source.Signers{SSH: s.AllowedSignersFile, GPG: s.GPGKeysFile, Fingerprints: s.GPGFingerprints},
		RefuseForcePush: c.ForcePush == ForcePushRefuse,
	}
}
