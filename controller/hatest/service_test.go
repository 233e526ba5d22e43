package hatest

import (
	"io"
	"sync"
	"testing"
)

// A service is a controller that is started again whenever it ends, as its unit does, and
// then sees the same revisions as before.
type service struct {
	dir, url string
	env      []string
	out      io.Writer
	ends     chan int // the exit code of each that ended by itself
	running  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	pushed  []string
	member  *member
	led     int32 // times that those before it took the lead
	stopped bool
}

// startService starts a controller on these servers, with further variables in its
// environment.
func startService(t *testing.T, dir, url string, env ...string) *service {
	t.Helper()
	s := &service{dir: dir, url: url, env: env, out: t.Output(), ends: make(chan int, 100)}
	if err := s.launch(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	s.running.Go(func() {
		for s.again(t) {
		}
	})
	return s
}

func (s *service) launch() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	if s.member != nil {
		s.led += s.member.led.Load()
	}
	if s.member, err = launch(s.out, s.dir, s.url, s.env...); err != nil {
		return err
	}
	for _, name := range s.pushed {
		s.tell(name)
	}
	return nil
}

// again waits for the end of the controller, and starts it again unless it was stopped.
func (s *service) again(t *testing.T) bool {
	s.mu.Lock()
	m := s.member
	s.mu.Unlock()
	err := <-m.ended
	m.ended <- err
	s.mu.Lock()
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		return false
	}
	s.ends <- m.cmd.ProcessState.ExitCode()
	if err := s.launch(); err != nil {
		t.Errorf("start it again: %v", err)
		return false
	}
	return true
}

// push makes a line the next revision; see [flake].
func (s *service) push(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushed = append(s.pushed, name)
	s.tell(name)
}

// tell tells the controller of a revision. The caller holds the mutex.
func (s *service) tell(name string) {
	_, _ = io.WriteString(s.member.stdin, name+"\n") // it may have ended: the next one gets it
}

// leads returns how often it took the lead.
func (s *service) leads() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.led + s.member.led.Load()
}

// stop kills it for good, and retire ends it in good order. Stop may be called again.
func (s *service) stop()   { s.end((*member).kill) }
func (s *service) retire() { s.end(func(m *member) { _ = m.stdin.Close() }) }

func (s *service) end(how func(*member)) {
	s.mu.Lock()
	s.stopped = true
	m := s.member
	s.mu.Unlock()
	how(m)
	s.running.Wait()
}
