package cache

import (
	"net/http"
	"time"
)

const (
	// A client that takes longer than pace for a stretch, 32 KiB a second, is cut
	// off. Nix comes back and asks for the rest.
	pace    = time.Minute
	stretch = 32 << 10 * 60 // bytes
)

// A paced writer cuts off a client that does not keep the pace: what one stalled
// client holds is free for the others soon, however large the file.
type paced struct {
	http.ResponseWriter
	left int // bytes of this stretch
}

// Write implements [http.ResponseWriter].
func (p *paced) Write(b []byte) (int, error) {
	if p.left <= 0 {
		p.start()
	}
	n, err := p.ResponseWriter.Write(b)
	p.left -= n
	return n, err
}

// start begins a stretch.
func (p *paced) start() {
	p.left = stretch
	// Not every ResponseWriter has deadlines; the server's own bound stays then.
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(pace))
}
