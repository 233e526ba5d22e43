package nix

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"kedge/proto"
)

// AddSource adds a tree to the store, as the source of a flake: Nix takes
// "path:" and the path that is returned for it without copying it once more, whoever
// evaluates it. The link root names it afterwards, and keeps it from being collected
// if it is in gcroots. It is not synced: a source can be added anew.
//
// What is there already is found to be, and the root is renewed. nix-daemon adds it, or
// where none listens one that is started for it.
func (c *CLI) AddSource(ctx context.Context, root string, tree *File) (path proto.StorePath, err error) {
	var failed error
	add := func(to io.Writer, from io.Reader) error {
		daemon := daemonConn{newWire(to, from)}
		daemon.greet()
		if path = daemon.addSource(tree); daemon.err != nil {
			if _, ours := errors.AsType[*fileError](daemon.err); ours {
				failed = daemon.err
			}
			return daemon.err
		}
		failed = Root(root, path) // while the daemon keeps it
		return failed
	}
	conn, err := Daemon{Socket: c.Socket}.dial(ctx)
	switch {
	case err == nil:
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // it is open until Close
		err = add(conn, conn)
		stop()
		_ = conn.Close() // all was answered
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		if err = c.converse(ctx, "nix-daemon", []string{"--stdio"}, add); failed != nil {
			err = failed // it says nothing of that
		}
	}
	if ctx.Err() != nil && err != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return proto.StorePath{}, fmt.Errorf("add a source to the store: %w", err)
	}
	return path, nil
}

// addSource adds a tree under the name that those of flakes have.
func (c daemonConn) addSource(tree *File) proto.StorePath {
	const references, repair = 0, 0
	if c.err != nil {
		return proto.StorePath{}
	}
	c.writeNumbers(daemonAddToStore)
	c.writeTexts("source", "fixed:r:sha256")
	c.writeNumbers(references, repair)
	inner := &wire{to: bufio.NewWriterSize(frames(c), frameSize)}
	inner.writeTree(tree)
	if inner.flush(); c.err == nil {
		c.err = inner.err
	}
	if c.err == nil {
		c.writeNumbers(0) // the last frame
		c.await()
	}
	path, err := proto.ParseStorePath(c.readText())
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("%w: %w", errGarbled, err)
	}
	c.readInfo(path)
	return path
}
