package closure

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kedge/internal/durable"
	"kedge/internal/nix"
	"kedge/proto"
)

// A Reader reads what is in the store; *nix.CLI is one.
type Reader interface {
	Invalid(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error)
	Requisites(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error)
	// Changed returns those of paths, which are valid, whose content is not what is
	// registered.
	Changed(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error)
	// Repair brings the content of a path anew.
	Repair(ctx context.Context, o nix.SubstituteOptions) error
}

// Integrity finds and mends what is not whole in the store, although it is
// registered as if it were.
type Integrity struct {
	Nix         Reader            // required
	TrustedKeys []proto.PublicKey // one of them must have signed what mends a path
}

// Added returns what systems have that since does not, of those that are valid.
// If since is not, that is all.
func (i Integrity) Added(ctx context.Context, since proto.StorePath, systems ...proto.StorePath) ([]proto.StorePath, error) {
	all := slices.DeleteFunc(append(slices.Clone(systems), since), proto.StorePath.IsZero)
	invalid, err := i.Nix.Invalid(ctx, all...)
	if err != nil {
		return nil, err
	}
	var had []proto.StorePath
	if !since.IsZero() && !slices.Contains(invalid, since) {
		if had, err = i.Nix.Requisites(ctx, since); err != nil {
			return nil, err
		}
	}
	valid := slices.DeleteFunc(all, func(p proto.StorePath) bool { return slices.Contains(invalid, p) })
	have, err := i.Nix.Requisites(ctx, valid...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(have, func(p proto.StorePath) bool {
		_, before := slices.BinarySearchFunc(had, p, proto.StorePath.Compare)
		return before
	}), nil
}

// Changed returns those of paths whose content is not what is registered. It
// reads them all, and gives way to everybody else who wants to read or to
// compute.
func (i Integrity) Changed(ctx context.Context, paths []proto.StorePath) (changed []proto.StorePath, err error) {
	quietly(func() { changed, err = i.Nix.Changed(ctx, paths...) })
	return changed, err
}

// Mend makes the content of p what one of caches has, and looks whether that is
// what is registered.
func (i Integrity) Mend(ctx context.Context, p proto.StorePath, caches []string) error {
	errs := []error{fmt.Errorf("no cache could mend %s", p)}
	for _, cache := range caches {
		err := i.Nix.Repair(ctx, nix.SubstituteOptions{From: cache, Path: p, TrustedKeys: i.TrustedKeys})
		if err == nil {
			changed, err := i.Nix.Changed(ctx, p)
			if err == nil && len(changed) > 0 {
				err = fmt.Errorf("%s is still not what is registered", p)
			}
			return err
		}
		errs = append(errs, fmt.Errorf("%s: %w", cache, err))
	}
	return errors.Join(errs...)
}

// Sync returns once all that was written to the store's file system is on its
// disk.
func (Integrity) Sync() error { return durable.SyncFileSystem(storeDir) }
