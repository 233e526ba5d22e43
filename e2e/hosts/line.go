package hosts

import "time"

// A Line is the quality of a machine's network line, in each direction. The zero Line is a perfect one.
type Line struct {
	Rate  int64         // bits per second; 0 means unlimited
	Delay time.Duration // one way
	Loss  float64       // share of the packets that is lost, 0 to 1
}

// maxQueue is how long a packet may wait for its turn on a line of limited rate before it is dropped: a modem's buffer.
const maxQueue = 200 * time.Millisecond

// A pace is one direction of a line: it decides when each packet arrives.
type pace struct {
	line Line
	free time.Time // when the packets before are sent
}

// send returns when a packet of size bytes, handed over now, arrives at the other end. It does not arrive if the queue is full
// or if chance, a random number from 0 to 1, says so. Packets never overtake each other.
func (p *pace) send(now time.Time, size int, chance float64) (arrival time.Time, arrives bool) {
	if chance < p.line.Loss {
		return time.Time{}, false
	}
	start := now
	if p.free.After(now) {
		start = p.free
	}
	if start.Sub(now) > maxQueue {
		return time.Time{}, false
	}
	p.free = start
	if p.line.Rate > 0 {
		p.free = start.Add(time.Duration(float64(8*size) / float64(p.line.Rate) * float64(time.Second)))
	}
	return p.free.Add(p.line.Delay), true
}
