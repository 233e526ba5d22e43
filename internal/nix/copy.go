package nix

import (
	"context"
	"errors"

	"kedge/proto"
)

// CopyOptions says what [CLI.Copy] copies, and where. All of it is required.
type CopyOptions struct {
	// To is the URL of the other store, such as
	// "file:///var/cache/kedge?compression=zstd&secret-key=/path".
	To string
	// Paths are copied with their closures. What the target has already is not
	// copied again.
	Paths []proto.StorePath
}

func (o CopyOptions) validate() error {
	switch {
	case o.To == "":
		return errors.New("copy store paths: To must be set")
	case len(o.Paths) == 0:
		return errors.New("copy store paths: no paths")
	}
	return nil
}

// Copy copies the closures of o.Paths from the local store to another one. It
// can be repeated: paths that arrived stay. For the other direction, see
// [CLI.Substitute].
func (c *CLI) Copy(ctx context.Context, o CopyOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	_, err := c.run(ctx, "nix", []string{"copy", "--to", o.To}, texts(o.Paths), Setting{"extra-experimental-features", "nix-command"})
	return err
}
