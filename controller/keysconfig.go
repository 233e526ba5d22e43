package controller

import (
	"errors"
	"fmt"
)

func (c KeysConfig) problems() []error {
	if c.SignReleases {
		if c.ReleaseThreshold != 1 {
			return []error{fmt.Errorf("keys.release_threshold: must be 1 where the controller signs releases, whose signature is enough then, got %d; "+
				"where others are to sign, set keys.sign_releases to false", c.ReleaseThreshold)}
		}
		return nil
	}
	if len(c.Release) == 0 {
		return []error{errors.New("keys.release: must name at least one key where the controller holds none (keys.sign_releases)")}
	}
	if c.ReleaseThreshold < 1 || c.ReleaseThreshold > len(c.Release) {
		return []error{fmt.Errorf("keys.release_threshold: must be between 1 and %d, the number of keys in keys.release, got %d", len(c.Release), c.ReleaseThreshold)}
	}
	return nil
}
