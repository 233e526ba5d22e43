package source

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // what git calls objects by
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os/exec"
	"strconv"
	"strings"

	"kedge/internal/command"
)

// objects reads what a repository of ours holds: one git, which is asked for one object
// after the other. Each is compared with its name.
type objects struct {
	ctx    context.Context //nolint:containedctx // a process lasts no longer
	cancel context.CancelFunc
	cmd    *exec.Cmd
	ask    io.WriteCloser
	answer *bufio.Reader
	stderr command.Tail
	err    error // it is of no use any more
}

// errMissing: a repository of ours lacks an object.
var errMissing = errors.New("it is not there")

// open starts the git that reads g. It ends with ctx, and has to be closed.
func (r *Repository) open(ctx context.Context, g git) (*objects, error) {
	timeout := r.timeout * patientTimes
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w within %s", errNoEnd, timeout))
	o := &objects{ctx: ctx, cancel: cancel, stderr: command.Tail{Limit: outputLimit}}
	o.cmd = g.command(ctx, "cat-file", "--batch")
	o.cmd.Stderr = &o.stderr
	stdin, err := o.cmd.StdinPipe()
	stdout, outErr := o.cmd.StdoutPipe()
	if err = errors.Join(err, outErr); err == nil {
		err = o.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, &gitError{command: "cat-file", exitCode: -1, err: err}
	}
	o.ask, o.answer = stdin, bufio.NewReaderSize(stdout, 64<<10)
	return o, nil
}

// close ends the git. It can be repeated, and a nil one is closed.
func (o *objects) close() {
	if o == nil {
		return
	}
	o.cancel() // it would write all of what it was asked for
	if o.cmd.ProcessState == nil {
		_ = o.cmd.Wait() // it was stopped
	}
}

// fail returns why nothing can be read any more: in git's words, if it has any.
func (o *objects) fail(err error) error {
	if o.err != nil {
		return o.err
	}
	code, ended := -1, context.Cause(o.ctx)
	if ended == nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) { // by itself
		if waited := o.cmd.Wait(); waited != nil {
			code, err = command.Ended(o.ctx, o.cmd, waited)
		}
	}
	o.close()
	if ended != nil {
		err = ended
	}
	o.err = &gitError{command: "cat-file", exitCode: code, stderr: strings.Join(strings.Fields(o.stderr.String()), " "), err: err}
	return o.err
}

// object asks for an object. What is returned has to be closed before the next is
// asked for.
func (o *objects) object(id, kind string) (*object, error) {
	if o.err != nil {
		return nil, o.err
	}
	if _, err := io.WriteString(o.ask, id+"\n"); err != nil {
		return nil, o.fail(io.EOF) // it has gone
	}
	line, err := o.answer.ReadString('\n')
	if err != nil {
		return nil, o.fail(err)
	}
	fields := strings.Fields(line)
	if len(fields) == 2 && fields[1] == "missing" {
		return nil, &gitError{command: "cat-file", exitCode: 1, err: fmt.Errorf("object %s: %w", id, errMissing)}
	}
	if len(fields) != 3 || fields[0] != id {
		return nil, o.fail(fmt.Errorf("object %s: it answers %q", id, line))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || size < 0 {
		return nil, o.fail(fmt.Errorf("object %s: it answers %q", id, line))
	}
	sum := sha256.New()
	if len(id) == hex.EncodedLen(sha1.Size) {
		sum = sha1.New() //nolint:gosec // as above
	}
	_, _ = fmt.Fprintf(sum, "%s %d\x00", fields[1], size)
	found := &object{of: o, id: id, size: size, left: size, sum: sum}
	if fields[1] != kind {
		return nil, errors.Join(fmt.Errorf("object %s: is a %s, want a %s", id, fields[1], kind), found.Close())
	}
	return found, nil
}

// read returns an object whole, if it is no longer than it may be.
func (o *objects) read(id, kind string) ([]byte, error) {
	found, err := o.object(id, kind)
	if err != nil {
		return nil, err
	}
	if found.size > answerLimit {
		return nil, o.fail(fmt.Errorf("object %s: %w", id, errAnswer))
	}
	var text bytes.Buffer
	_, err = io.Copy(&text, found)
	return text.Bytes(), errors.Join(err, found.Close())
}

// An object is one that is being read.
type object struct {
	of         *objects
	id         string
	size, left int64
	sum        hash.Hash
	ended      bool
}

// Read implements io.Reader. Before the end it fails if this is not the object that was
// asked for.
func (b *object) Read(p []byte) (int, error) {
	if b.of.err != nil {
		return 0, b.of.err
	}
	if b.left == 0 {
		return 0, b.end()
	}
	n, err := b.of.answer.Read(p[:min(int64(len(p)), b.left)])
	_, _ = b.sum.Write(p[:n])
	if b.left -= int64(n); err != nil {
		return n, b.of.fail(err)
	}
	if b.left == 0 {
		if err := b.end(); !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	return n, nil
}

// end returns io.EOF if the object is whole.
func (b *object) end() error {
	if b.ended {
		return io.EOF
	}
	b.ended = true
	if _, err := b.of.answer.Discard(1); err != nil { // a line ends
		return b.of.fail(err)
	}
	if hex.EncodeToString(b.sum.Sum(nil)) != b.id {
		return b.of.fail(fmt.Errorf("object %s: it is another one, or damaged", b.id))
	}
	return io.EOF
}

// Close implements io.Closer. It reads what is left.
func (b *object) Close() error {
	_, err := io.Copy(io.Discard, b)
	return err
}
