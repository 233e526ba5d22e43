package nix

import (
	"fmt"
	"io"
	"slices"

	"kedge/proto"
)

// The protocol of `nix-store --serve`, which nix-copy-closure speaks with
// whatever version is at the other end.
const (
	serveHello   = 0x390c9deb // from the client
	serveWelcome = 0x5452eecb // from the server
	// serveVersion is the version that we speak, 2.5: as old as Nix 2.3, and
	// the first number that a server must agree with.
	serveVersion = 2<<8 | 5
	// servePathInfos is the minor version from which path infos have hashes.
	servePathInfos = 4

	serveQueryValidPaths = 1
	serveQueryPathInfos  = 2
	serveQueryClosure    = 7
)

// A serveConn is a conversation with a server.
type serveConn struct{ *wire }

func newServeConn(to io.Writer, from io.Reader) serveConn { return serveConn{newWire(to, from)} }

// greet begins the conversation.
func (c serveConn) greet() {
	c.writeNumbers(serveHello, serveVersion)
	c.flush()
	welcome, version := c.readNumber(), c.readNumber()
	if c.err == nil && (welcome != serveWelcome || version>>8 != serveVersion>>8 || version&0xff < servePathInfos) {
		c.err = fmt.Errorf("%w: it begins with %#x, version %#x", errGarbled, welcome, version)
	}
}

// substitute asks for path to be brought, if it is not there, and reports
// whether it is then.
func (c serveConn) substitute(path proto.StorePath) bool {
	const lock, substitute = 1, 1
	c.writeNumbers(serveQueryValidPaths, lock, substitute)
	c.writePaths([]proto.StorePath{path})
	c.flush()
	return slices.Contains(c.readPaths(), path)
}

// closure returns path, which is valid, and all that it refers to, sorted.
func (c serveConn) closure(path proto.StorePath) proto.Closure {
	const withOutputs = 0
	c.writeNumbers(serveQueryClosure, withOutputs)
	c.writePaths([]proto.StorePath{path})
	c.flush()
	paths := c.readPaths()
	c.writeNumbers(serveQueryPathInfos)
	c.writePaths(paths)
	c.flush()
	var closure proto.Closure
	for {
		text := c.readText()
		if c.err != nil || text == "" {
			break
		}
		closure = append(closure, c.readPathInfo(text))
	}
	slices.SortFunc(closure, func(a, b proto.ClosurePath) int { return a.Path.Compare(b.Path) })
	slices.SortFunc(paths, proto.StorePath.Compare)
	told := make([]proto.StorePath, len(closure))
	for i, p := range closure {
		told[i] = p.Path
	}
	if c.err == nil && (!slices.Equal(told, paths) || !slices.Contains(paths, path)) {
		c.err = fmt.Errorf("%w: it told about %v, but was asked about %v", errGarbled, told, paths)
	}
	return closure
}

// readPathInfo reads what follows a path's name.
func (c serveConn) readPathInfo(path string) proto.ClosurePath {
	var info proto.ClosurePath
	p, err := proto.ParseStorePath(path)
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("%w: %w", errGarbled, err)
	}
	info.Path = p
	c.readText()   // the deriver
	c.readTexts()  // references
	c.readNumber() // the size of a download
	info.NarSize = c.readNumber()
	info.NarHash = c.readText()
	c.readText()  // a content address
	c.readTexts() // signatures
	return info
}
