package controller

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"kedge/internal/nix"
	"kedge/proto"
)

// sourcesDir has a folder for each channel, with the copy of its repository.
const sourcesDir = "sources"

// sourceRoots has a root for each channel, of what was evaluated last. It is no folder of
// package build's, in which each name is a host's.
const sourceRoots = "/nix/var/nix/gcroots/kedge-sources"

// dropFormerSources removes the copies of repositories of channels that are not configured
// any more: a channel that comes back has its own fetched again. What does not look like
// such a copy is left alone, and what cannot be removed stays until the next start.
func dropFormerSources(c Config, log *slog.Logger) {
	dir := filepath.Join(c.StateDir, sourcesDir)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("copies of former channels' repositories stay", "err", err)
	}
	for _, e := range entries {
		if c.follows(e.Name()) || !isCopy(dir, e) {
			continue
		}
		err := nix.Unroot(filepath.Join(sourceRoots, e.Name()))
		if err == nil {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
		if err != nil {
			log.Warn("copy of a former channel's repository stays", "channel", e.Name(), "err", err)
			continue
		}
		log.Info("copy of a former channel's repository removed", "channel", e.Name())
	}
}

// isCopy reports whether an entry of dir is a folder as [source.New] makes it for a
// channel.
func isCopy(dir string, e fs.DirEntry) bool {
	if _, err := proto.ParseHostName(e.Name()); err != nil || !e.IsDir() { // a channel has the same kind of name
		return false
	}
	_, err := os.Lstat(filepath.Join(dir, e.Name(), "mirror", ".git"))
	return err == nil
}
