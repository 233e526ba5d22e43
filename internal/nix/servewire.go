package nix

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"kedge/proto"
)

// The protocol of `nix-store --serve`, which nix-copy-closure speaks with
// whatever version is at the other end: numbers are 64 bits, little-endian;
// texts are their length and their bytes, padded to a multiple of eight; lists
// are their length and their elements.
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

// Bounds of what is believed about lengths before the bytes are there.
const (
	maxServeText = 1 << 20
	maxServeList = 1 << 22
)

// A serveConn is one conversation. After an error it is of no use any more, and
// every further read returns that error.
type serveConn struct {
	to   *bufio.Writer
	from *bufio.Reader
	err  error
}

func newServeConn(to io.Writer, from io.Reader) *serveConn {
	return &serveConn{to: bufio.NewWriter(to), from: bufio.NewReader(from)}
}

// writeNumbers, and the other writers, leave errors to flush.
func (c *serveConn) writeNumbers(ns ...uint64) {
	for _, n := range ns {
		_, _ = c.to.Write(binary.LittleEndian.AppendUint64(nil, n))
	}
}

func (c *serveConn) writePaths(paths []proto.StorePath) {
	c.writeNumbers(uint64(len(paths)))
	for _, p := range paths {
		text := p.String()
		c.writeNumbers(uint64(len(text)))
		_, _ = c.to.WriteString(text)
		_, _ = c.to.Write(make([]byte, padding(uint64(len(text)))))
	}
}

func (c *serveConn) flush() {
	if c.err == nil {
		c.err = c.to.Flush()
	}
}

func (c *serveConn) readNumber() uint64 {
	var b [8]byte
	if c.err == nil {
		_, c.err = io.ReadFull(c.from, b[:])
	}
	if c.err != nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (c *serveConn) readText() string {
	n := c.readNumber()
	if c.err == nil && n > maxServeText {
		c.err = fmt.Errorf("%w: a text of %d bytes", errGarbled, n)
	}
	if c.err != nil {
		return ""
	}
	text := make([]byte, n+padding(n))
	_, c.err = io.ReadFull(c.from, text)
	return string(text[:n])
}

func (c *serveConn) readTexts() []string {
	n := c.readNumber()
	if c.err == nil && n > maxServeList {
		c.err = fmt.Errorf("%w: a list of %d", errGarbled, n)
	}
	var texts []string
	for i := uint64(0); i < n && c.err == nil; i++ {
		texts = append(texts, c.readText())
	}
	return texts
}

func (c *serveConn) readPaths() []proto.StorePath {
	texts := c.readTexts()
	paths := make([]proto.StorePath, 0, len(texts))
	for _, text := range texts {
		p, err := proto.ParseStorePath(text)
		if err != nil && c.err == nil {
			c.err = fmt.Errorf("%w: %w", errGarbled, err)
		}
		paths = append(paths, p)
	}
	if c.err != nil {
		return nil
	}
	return paths
}

// padding is how many bytes a text of n bytes is padded with.
func padding(n uint64) uint64 { return -n % 8 }

// greet begins the conversation.
func (c *serveConn) greet() {
	c.writeNumbers(serveHello, serveVersion)
	c.flush()
	welcome, version := c.readNumber(), c.readNumber()
	if c.err == nil && (welcome != serveWelcome || version>>8 != serveVersion>>8 || version&0xff < servePathInfos) {
		c.err = fmt.Errorf("%w: it begins with %#x, version %#x", errGarbled, welcome, version)
	}
}

// substitute asks for path to be brought, if it is not there, and reports
// whether it is then.
func (c *serveConn) substitute(path proto.StorePath) bool {
	const lock, substitute = 1, 1
	c.writeNumbers(serveQueryValidPaths, lock, substitute)
	c.writePaths([]proto.StorePath{path})
	c.flush()
	return slices.Contains(c.readPaths(), path)
}

// closure returns path, which is valid, and all that it refers to, sorted.
func (c *serveConn) closure(path proto.StorePath) proto.Closure {
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
func (c *serveConn) readPathInfo(path string) proto.ClosurePath {
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
