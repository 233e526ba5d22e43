package nix

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
)

// A Prepared is a process of Nix that has started and waits to be told what to
// realise: Nix takes longer to start than many a build takes. It belongs to one
// goroutine. A nil one is none.
type Prepared struct {
	tell   *os.File // what it reads
	cancel context.CancelCauseFunc
	told   chan struct{} // closed once log is set
	log    LogFunc       // nil for nobody
	ended  chan struct{} // closed once err is set
	err    error
}

// errNotNeeded is why a process that was never told anything is stopped.
var errNotNeeded = errors.New("there is nothing to realise")

// Prepare starts the process that [CLI.Realise] takes for o, of which Derivations,
// Outputs and Log may be missing still, as [RealiseOptions.Prepared]. It returns nil where
// none can wait, which is without o.CopyTo. Until the process is told what to make it has
// no lock, and writes no more than what an empty o.CopyTo begins with. It ends with ctx, and
// has to be closed.
func (c *CLI) Prepare(ctx context.Context, o RealiseOptions) *Prepared {
	if o.CopyTo == "" {
		return nil
	}
	return c.prepare(ctx, o)
}

// prepare starts `nix copy`, which builds what it is to copy. Why it could not be
// started is what [Prepared.realise] returns.
func (c *CLI) prepare(ctx context.Context, o RealiseOptions) *Prepared {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &Prepared{cancel: cancel, told: make(chan struct{}), ended: make(chan struct{})}
	read, write, err := os.Pipe()
	if err != nil {
		p.err = err
		close(p.ended)
		return p
	}
	p.tell = write
	args := []string{"copy", "--to", o.CopyTo, "--stdin", "--log-format", logFormat}
	if o.KeepGoing {
		args = append(args, "--keep-going")
	}
	argv := c.argv("nix", args, nil, append(o.settings(), Setting{"extra-experimental-features", "nix-command"}))
	say := func(derivation, line string) {
		select {
		case <-p.told:
		case <-ctx.Done():
			return
		}
		if p.log != nil {
			p.log(derivation, line)
		}
	}
	go func() {
		defer close(p.ended)
		p.err = c.stream(ctx, argv, memory{}, streams{in: read, out: io.Discard, log: say, keep: buildLimit})
	}()
	return p
}

// realise has the process make o.Derivations, until ctx ends or that of prepare. It
// can be called once.
func (p *Prepared) realise(ctx context.Context, o RealiseOptions) error {
	defer p.Close()
	defer context.AfterFunc(ctx, func() { p.cancel(context.Cause(ctx)) })()
	p.log = o.Log
	close(p.told)
	_, err := io.WriteString(p.tell, strings.Join(builtBy(o.Derivations), "\n")+"\n")
	err = errors.Join(err, p.tell.Close())
	<-p.ended
	if p.err != nil {
		return p.err // it is why it did not read to the end, if it did not
	}
	return err
}

// Close stops the process if it was not told anything, and waits until it has
// ended. It can be repeated.
func (p *Prepared) Close() {
	if p == nil {
		return
	}
	p.cancel(errNotNeeded)
	_ = p.tell.Close() // nobody reads it any more
	<-p.ended
}
