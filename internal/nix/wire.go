package nix

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"kedge/proto"
)

// Bounds of what is believed about lengths before the bytes are there.
const (
	maxText = 1 << 20
	maxList = 1 << 22
)

// A wire is one conversation in Nix's way to write: numbers are 64 bits,
// little-endian; texts are their length and their bytes, padded to a multiple of
// eight; lists are their length and their elements. After an error it is of no
// use any more, and every further read returns that error.
type wire struct {
	to   *bufio.Writer
	from *bufio.Reader
	err  error
}

func newWire(to io.Writer, from io.Reader) *wire {
	return &wire{to: bufio.NewWriter(to), from: bufio.NewReader(from)}
}

// writeNumbers, and the other writers, leave errors to flush.
func (c *wire) writeNumbers(ns ...uint64) {
	for _, n := range ns {
		_, _ = c.to.Write(binary.LittleEndian.AppendUint64(nil, n))
	}
}

func (c *wire) writePaths(paths []proto.StorePath) {
	c.writeNumbers(uint64(len(paths)))
	for _, p := range paths {
		c.writeTexts(p.String())
	}
}

// writeTexts writes each text; it is no list.
func (c *wire) writeTexts(texts ...string) {
	for _, text := range texts {
		c.writeNumbers(uint64(len(text)))
		_, _ = c.to.WriteString(text)
		_, _ = c.to.Write(make([]byte, padding(uint64(len(text)))))
	}
}

func (c *wire) flush() {
	if c.err == nil {
		c.err = c.to.Flush()
	}
}

func (c *wire) readNumber() uint64 {
	var b [8]byte
	if c.err == nil {
		_, c.err = io.ReadFull(c.from, b[:])
	}
	if c.err != nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (c *wire) readText() string {
	n := c.readNumber()
	if c.err == nil && n > maxText {
		c.err = fmt.Errorf("%w: a text of %d bytes", errGarbled, n)
	}
	if c.err != nil {
		return ""
	}
	text := make([]byte, n+padding(n))
	_, c.err = io.ReadFull(c.from, text)
	return string(text[:n])
}

func (c *wire) readTexts() []string {
	n := c.readNumber()
	if c.err == nil && n > maxList {
		c.err = fmt.Errorf("%w: a list of %d", errGarbled, n)
	}
	var texts []string
	for i := uint64(0); i < n && c.err == nil; i++ {
		texts = append(texts, c.readText())
	}
	return texts
}

func (c *wire) readPaths() []proto.StorePath {
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
