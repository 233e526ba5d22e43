package vm

import (
	"bufio"
	"encoding/json"
	"net"
	"slices"

	"kedge/e2e/vm/guest"
)

// listen waits for QEMU, once, and hears what the boots of the computer say, until it is off.
func (c *Computer) listen(listener net.Listener) {
	conn, err := listener.Accept()
	_ = listener.Close() // one is all there is
	if err != nil {
		return // QEMU never came; its end is told
	}
	defer conn.Close() // QEMU has ended
	for in := bufio.NewReader(conn); ; {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var r guest.Reply
		if json.Unmarshal(text, &r) == nil && r.Boot != "" { // else cut off by a reset
			c.hear(conn, r)
		}
	}
}

// hear takes a reply: the first word of a boot, or an answer.
func (c *Computer) hear(conn net.Conn, r guest.Reply) {
	if r.ID == 0 {
		c.change(func() {
			c.forget()
			c.line, c.asked = conn, map[int]chan<- guest.Reply{}
			if !slices.Contains(c.boots, r.Boot) { // else the program was started again
				c.boots = append(c.boots, r.Boot)
			}
		})
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.asked[r.ID]; answer != nil {
		answer <- r // has room for one
		delete(c.asked, r.ID)
	}
}

// forget tells everybody who waits for an answer that the boot is over. c.mu is held.
func (c *Computer) forget() {
	for _, answer := range c.asked {
		close(answer)
	}
	c.line, c.asked = nil, nil
}
