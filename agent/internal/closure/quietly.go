package closure

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	lowestNice = 19
	// What ioprio_set(2) is told, which has no names in package unix: this thread;
	// only when nobody else wants the disk.
	ioprioWhoProcess = 1
	ioprioIdle       = 3 << 13
)

// quietly runs f so that the processes it starts give way to all others. It
// returns when f has.
func quietly(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: nobody else shall get this thread
		// Where it is not permitted, f is as loud as others.
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowestNice)
		_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle)
		f()
	}()
	<-done
}
