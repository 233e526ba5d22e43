// Package systemd talks to PID 1 over its private socket,
// /run/systemd/private, and to the journal.
//
// The private socket needs no message bus, so it works while a deployment has
// broken or is restarting the bus. A connection that was open before `systemctl
// daemon-reexec` answers nothing any more: then the call is made once more on a
// new one. Every call ends with its context, and those that only ask or queue something
// end after [Client.CallTimeout] too.
package systemd
