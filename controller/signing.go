package controller

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kedge/controller/internal/sign"
)

// openSigner opens the keys, and says what it means that they are here.
func (c *Controller) openSigner(ctx context.Context) (*sign.Signer, error) {
	keys := c.o.Config.Keys
	signer, err := sign.Open(sign.Options{
		Dir: c.path(keysDir), Name: keyName(), NoRelease: !keys.SignReleases,
		Trusted: keys.Release, Threshold: keys.ReleaseThreshold, Spare: keys.Spare,
	})
	if err != nil {
		return nil, fmt.Errorf("open the keys: %w", err)
	}
	if keys.SignReleases {
		c.log.InfoContext(ctx, "this controller holds the release key: whoever takes it over can have hosts run anything; docs/keys.md says how CI signs instead")
		return signer, nil
	}
	c.log.InfoContext(ctx, "this controller holds no release key: it builds nothing, and publishes what others signed", "threshold", signer.Threshold())
	left := filepath.Join(c.path(keysDir), string(sign.Release))
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		c.log.WarnContext(ctx, "a release key of earlier is still here, unused; remove it when no host trusts it any more", "file", left)
	}
	return signer, nil
}
