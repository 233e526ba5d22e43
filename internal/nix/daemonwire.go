package nix

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"kedge/internal/narinfo"
	"kedge/proto"
)

// The protocol of nix-daemon (libstore/worker-protocol.hh). After each request
// the daemon says what it does, then that it is done or what went wrong, and only
// then answers.
const (
	daemonHello   = 0x6e697863 // from the client
	daemonWelcome = 0x6478696f // from the daemon
	// daemonVersion is the version that we speak, 1.32: the first that adds many
	// paths at once, and older than Nix 2.8.
	daemonVersion = 1<<8 | 32

	daemonAddToStore        = 7
	daemonAddTempRoot       = 11
	daemonSetOptions        = 19
	daemonQueryPathInfo     = 26
	daemonQueryValidPaths   = 31
	daemonAddMultiple       = 44
	daemonSaysDone          = 0x616c7473
	daemonSaysError         = 0x63787470
	daemonSaysLine          = 0x6f6c6d67
	daemonSaysActivity      = 0x53545254
	daemonSaysActivityEnded = 0x53544f50
	daemonSaysResult        = 0x52534c54
)

// askedTogether is how many questions are asked before the first answer is read:
// they must fit into a socket's buffer, or both sides would wait for ever.
const askedTogether = 64

// A DaemonError is what the daemon says when it does not do what it is asked for.
type DaemonError struct{ Said string }

// Error implements error.
func (e *DaemonError) Error() string { return "nix-daemon: " + e.Said }

// A daemonConn is a conversation with the daemon.
type daemonConn struct{ *wire }

// greet begins the conversation.
func (c daemonConn) greet() {
	c.writeNumbers(daemonHello, daemonVersion)
	c.flush()
	welcome, version := c.readNumber(), c.readNumber()
	if c.err == nil && (welcome != daemonWelcome || version>>8 != daemonVersion>>8 || version < daemonVersion) {
		c.err = fmt.Errorf("%w: it begins with %#x, version %#x", errGarbled, welcome, version)
	}
	const affinity, reserveSpace = 0, 0 // what nobody uses any more
	c.writeNumbers(affinity, reserveSpace)
	c.await()
}

// set makes settings those of this conversation, as far as we may.
func (c daemonConn) set(settings []Setting) {
	const keepFailed, keepGoing, tryFallback, verbosity, maxJobs, maxSilent, hook, log, logType, trace, cores, substitute = 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0
	c.writeNumbers(daemonSetOptions,
		keepFailed, keepGoing, tryFallback, verbosity, maxJobs, maxSilent, hook, log, logType, trace, cores, substitute)
	c.writeNumbers(uint64(len(settings)))
	for _, s := range settings {
		c.writeTexts(s.Name, s.Value)
	}
	c.await()
}

// keep keeps paths, valid or not, from being collected while the conversation lasts.
func (c daemonConn) keep(paths []proto.StorePath) {
	for together := range slices.Chunk(paths, askedTogether) {
		for _, p := range together {
			c.writeNumbers(daemonAddTempRoot)
			c.writeTexts(p.String())
		}
		for range together {
			c.await()
			c.readNumber() // 1
		}
	}
}

// valid returns those of paths that are valid.
func (c daemonConn) valid(paths []proto.StorePath) []proto.StorePath {
	const substitute = 0
	c.writeNumbers(daemonQueryValidPaths)
	c.writePaths(paths)
	c.writeNumbers(substitute)
	c.await()
	return c.readPaths()
}

// infos returns what is registered of paths, which are valid, in their order.
func (c daemonConn) infos(paths []proto.StorePath) (infos []narinfo.Info) {
	for together := range slices.Chunk(paths, askedTogether) {
		for _, p := range together {
			c.writeNumbers(daemonQueryPathInfo)
			c.writeTexts(p.String())
		}
		for _, p := range together {
			c.await()
			if known := c.readNumber(); c.err == nil && known == 0 {
				c.err = &DaemonError{Said: "path '" + p.String() + "' is not valid"}
			}
			infos = append(infos, c.readInfo(p))
		}
	}
	if c.err != nil {
		return nil
	}
	return infos
}

// readInfo reads what follows a path's name.
func (c daemonConn) readInfo(p proto.StorePath) narinfo.Info {
	c.readText() // the deriver
	info := narinfo.Info{Path: p}
	hash, err := narHashOf(c.readText())
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("%w: %w", errGarbled, err)
	}
	info.Hash = hash
	info.References = c.readPaths()
	c.readNumber() // when it was registered
	info.Size = c.readNumber()
	c.readNumber() // whether it was built here
	c.readTexts()  // signatures
	c.readText()   // a content address
	return info
}

// add adds paths, each after what it refers to and none without a good signature.
// open returns a path's NAR.
func (c daemonConn) add(paths []narinfo.Info, open func(narinfo.Info) (io.ReadCloser, error)) {
	const repair, dontCheckSignatures = 0, 0
	c.writeNumbers(daemonAddMultiple, repair, dontCheckSignatures)
	inner := &wire{to: bufio.NewWriterSize(frames(c), frameSize)}
	inner.writeNumbers(uint64(len(paths)))
	for _, info := range paths {
		if inner.writeInfo(info); c.err == nil {
			c.err = inner.writeNAR(info, open)
		}
	}
	if inner.flush(); c.err == nil {
		c.err = inner.err
	}
	if c.err == nil {
		c.writeNumbers(0) // the last frame
		c.await()
	}
}

// writeInfo writes what is to be registered of a path.
func (c *wire) writeInfo(info narinfo.Info) {
	const registered, ultimate = 0, 0 // now, and not built here
	hash, err := hexOf(info.Hash)
	if err != nil && c.err == nil {
		c.err = err
	}
	deriver := ""
	if p, err := proto.ParseStorePath(proto.StoreDir + info.Deriver); err == nil {
		deriver = p.String()
	}
	c.writeTexts(info.Path.String(), deriver, hash)
	c.writePaths(info.References)
	c.writeNumbers(registered, info.Size, ultimate, uint64(len(info.Signatures)))
	c.writeTexts(info.Signatures...)
	c.writeTexts(info.CA)
}

// writeNAR writes as many bytes as the path must have, or fails.
func (c *wire) writeNAR(info narinfo.Info, open func(narinfo.Info) (io.ReadCloser, error)) (err error) {
	nar, err := open(info)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, nar.Close()) }()
	if _, err := io.CopyN(c.to, nar, int64(info.Size)); err != nil { //nolint:gosec // a size that is no int64 ends the stream early
		return fmt.Errorf("%s: %w", info.Path, err)
	}
	switch n, err := io.CopyN(io.Discard, nar, 1); {
	case n > 0:
		return fmt.Errorf("%s: its archive is longer than %d bytes", info.Path, info.Size)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w", info.Path, err)
	}
	return nil
}

// frameSize is how many bytes go into a frame, but for the last one.
const frameSize = 64 << 10

// frames writes what is written to it in frames: each is its length and its bytes.
type frames struct{ *wire }

func (f frames) Write(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	f.writeNumbers(uint64(len(b)))
	return f.to.Write(b)
}

// await ends a request, and reads what the daemon says until it has done it.
func (c daemonConn) await() {
	for c.flush(); c.err == nil; {
		switch said := c.readNumber(); said {
		case daemonSaysDone:
			return
		case daemonSaysError:
			c.readError()
		case daemonSaysLine:
			c.readText()
		case daemonSaysActivity:
			c.readNumber() // which
			c.readNumber() // how much to be told
			c.readNumber() // of what kind
			c.readText()
			c.readFields()
			c.readNumber() // in which other
		case daemonSaysActivityEnded:
			c.readNumber()
		case daemonSaysResult:
			c.readNumber() // of which
			c.readNumber() // of what kind
			c.readFields()
		default:
			if c.err == nil {
				c.err = fmt.Errorf("%w: it says %#x", errGarbled, said)
			}
		}
	}
}

func (c daemonConn) readFields() {
	const number = 0
	for n := c.readNumber(); n > 0 && c.err == nil; n-- {
		if c.readNumber() == number {
			c.readNumber()
		} else {
			c.readText()
		}
	}
}

// colour is how the daemon marks what a person should see.
var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

func (c daemonConn) readError() {
	c.readText()   // always "Error"
	c.readNumber() // how much to be told
	c.readText()   // of what kind
	said := colour.ReplaceAllString(c.readText(), "")
	c.readNumber() // no position
	for n := c.readNumber(); n > 0 && c.err == nil; n-- {
		c.readNumber() // no position
		c.readText()
	}
	if c.err == nil {
		c.err = &DaemonError{Said: said}
	}
}
