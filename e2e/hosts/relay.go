package hosts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// frameHeader is the length in bytes of the kernel's virtio_net_hdr, which comes before each frame and says what
	// is left to do for it: checksum and segmentation. Passed on with the frame, it is done where the frame ends up.
	frameHeader = 10
	// maxFrame bounds a frame not yet segmented, in bytes.
	maxFrame = frameHeader + 14 + 64<<10
	// maxFlying is how many frames a relay holds in each direction. At full frames this is far more than maxQueue and the
	// delay of any real line; beyond, frames are dropped.
	maxFlying = 4096
)

// A relay carries frames between two network devices of one namespace as a line of a given quality would. It needs nothing
// of the kernel but packet sockets: not every kernel has the queueing disciplines that delay and lose.
type relay struct {
	ends    [2]*os.File
	carried sync.WaitGroup
	done    chan struct{}
}

// startRelay connects the devices a and b, which nothing else may connect. It works until close.
func startRelay(ns namespace, a, b string, l Line) (*relay, error) {
	r := &relay{done: make(chan struct{})}
	err := ns.inside(func() (err error) {
		if r.ends[0], err = openDevice(a); err != nil {
			return err
		}
		if r.ends[1], err = openDevice(b); err != nil {
			return errors.Join(err, r.ends[0].Close())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("relay between %s and %s in %s: %w", a, b, ns, err)
	}
	r.carry(r.ends[0], r.ends[1], l)
	r.carry(r.ends[1], r.ends[0], l)
	return r, nil
}

// close ends the relay and waits for it. Frames under way are lost.
func (r *relay) close() error {
	close(r.done)
	err := errors.Join(r.ends[0].Close(), r.ends[1].Close())
	r.carried.Wait()
	return err
}

// A flight is a frame under way.
type flight struct {
	frame   []byte
	arrival time.Time
}

// carry begins to carry frames in one direction.
func (r *relay) carry(from, to *os.File, l Line) {
	flying := make(chan flight, maxFlying)
	r.carried.Go(func() { r.take(from, flying, pace{line: l}) })
	r.carried.Go(func() { r.deliver(to, flying) })
}

// take reads frames and sends them on their way.
func (r *relay) take(from *os.File, flying chan<- flight, p pace) {
	buffer := make([]byte, maxFrame)
	for {
		n, err := from.Read(buffer)
		if errors.Is(err, unix.ENETDOWN) { // said once; the device may come up again
			continue
		}
		if err != nil {
			return // closed
		}
		arrival, arrives := p.send(time.Now(), n-frameHeader, rand.Float64())
		if !arrives {
			continue
		}
		select {
		case flying <- flight{frame: append([]byte(nil), buffer[:n]...), arrival: arrival}:
		default: // more than any line holds
		}
	}
}

// deliver writes each frame when it arrives.
func (r *relay) deliver(to *os.File, flying <-chan flight) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case f := <-flying:
			if wait := time.Until(f.arrival); wait > 0 {
				timer.Reset(wait)
				select {
				case <-timer.C:
				case <-r.done:
					return
				}
			}
			_, _ = to.Write(f.frame) // a frame that cannot be written is lost, as on any line
		case <-r.done:
			return
		}
	}
}

// openDevice opens a packet socket on a device of the namespace that the thread is in.
func openDevice(name string) (*os.File, error) {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("open device %s: %w", name, err)
	}
	everything := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open device %s: %w", name, err)
	}
	for _, option := range []int{unix.PACKET_VNET_HDR, unix.PACKET_IGNORE_OUTGOING} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option, 1); err != nil {
			return nil, errors.Join(fmt.Errorf("open device %s: %w", name, err), unix.Close(fd))
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: device.Index}); err != nil {
		return nil, errors.Join(fmt.Errorf("open device %s: %w", name, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}
