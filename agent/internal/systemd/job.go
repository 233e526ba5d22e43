package systemd

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
)

// jobMode lets a job replace queued jobs that contradict it, as systemctl does.
const jobMode = "replace"

// jobDone is the result of a job that did what it should.
const jobDone = "done"

// jobLost stands for the result of a job whose end nobody saw, because systemd
// was re-executed meanwhile, and whose unit is not in the state it should
// bring about.
const jobLost = "lost"

// A JobError says that a job ended without having done what it should.
type JobError struct {
	Unit   string
	Job    string // "start", "stop" or "restart"
	Result string // "failed", "timeout", "canceled", "dependency", … or "lost"
}

// Error implements error.
func (e *JobError) Error() string {
	return fmt.Sprintf("%s %s: the job ended as %q", e.Job, e.Unit, e.Result)
}

// StartUnit starts the unit and waits until it has started as its type demands.
// There is no bound but ctx. A start that fails is a [*JobError].
func (c *Client) StartUnit(ctx context.Context, name string) error {
	return c.runJob(ctx, "start", name, func(ctx context.Context, conn *dbus.Conn, result chan<- string) (int, error) {
		return conn.StartUnitContext(ctx, name, jobMode, result)
	})
}

// RestartUnit stops the unit, if it runs, starts it, and waits as
// [Client.StartUnit] does.
func (c *Client) RestartUnit(ctx context.Context, name string) error {
	return c.runJob(ctx, "restart", name, func(ctx context.Context, conn *dbus.Conn, result chan<- string) (int, error) {
		return conn.RestartUnitContext(ctx, name, jobMode, result)
	})
}

// StopUnit stops the unit and waits until it has ended, with no bound but ctx.
// It is an error if the unit is not loaded.
func (c *Client) StopUnit(ctx context.Context, name string) error {
	return c.runJob(ctx, "stop", name, func(ctx context.Context, conn *dbus.Conn, result chan<- string) (int, error) {
		return conn.StopUnitContext(ctx, name, jobMode, result)
	})
}

// ResetFailed makes systemd forget that the unit failed. A unit that is not
// loaded has nothing to forget.
func (c *Client) ResetFailed(ctx context.Context, name string) error {
	return c.exchange(ctx, "reset "+name, func(ctx context.Context, conn *dbus.Conn) error {
		err := conn.ResetFailedUnitContext(ctx, name)
		if isError(err, errorNoSuchUnit) {
			return nil
		}
		return err
	})
}

// runJob queues a job and waits until it has ended.
func (c *Client) runJob(ctx context.Context, job, name string, queue func(context.Context, *dbus.Conn, chan<- string) (int, error)) error {
	operation := job + " " + name
	queueing, cancel := context.WithTimeoutCause(ctx, c.callTimeout(), errNoAnswer)
	defer cancel()
	result := make(chan string, 1) // buffered: an unread result would block the connection
	var conn *link
	var id int
	err := c.on(queueing, func(l *link) (err error) {
		conn = l
		id, err = queue(queueing, l.Conn, result)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", operation, causeOr(queueing, err))
	}

	// systemd tells private connections of the end of every job. Re-executing
	// closes them, and then only asking helps.
	const checkInterval = time.Second
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	for {
		select {
		case r := <-result:
			if r != jobDone {
				return &JobError{Unit: name, Job: job, Result: r}
			}
			return nil
		case <-check.C:
			if conn.Connected() {
				continue
			}
			return c.awaitLostJob(ctx, id, job, name)
		case <-ctx.Done():
			return fmt.Errorf("%s: wait for the job: %w", operation, context.Cause(ctx))
		}
	}
}

// awaitLostJob waits until systemd has no job of that number any more, and
// judges its result by the state of its unit.
func (c *Client) awaitLostJob(ctx context.Context, id int, job, name string) error {
	var last Unit
	err := poll(ctx, func() (bool, error) {
		running := false
		err := c.exchange(ctx, "list jobs", func(ctx context.Context, conn *dbus.Conn) error {
			jobs, err := conn.ListJobsContext(ctx)
			for _, j := range jobs {
				running = running || int(j.Id) == id
			}
			if err != nil || running {
				return err
			}
			last, err = getUnit(ctx, conn, name)
			return err
		})
		// An error may only mean that systemd is not back yet.
		return err == nil && !running, nil
	})
	if err != nil {
		return fmt.Errorf("%s %s: wait for the job: %w", job, name, err)
	}
	stopped := last.ActiveState == Inactive || last.ActiveState == Failed
	if stopped != (job == "stop") {
		return &JobError{Unit: name, Job: job, Result: jobLost}
	}
	return nil
}
