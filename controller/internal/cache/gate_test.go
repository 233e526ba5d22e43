package cache

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// gateTest is a cache's handler in a bubble.
type gateTest struct {
	handler http.Handler
	release chan struct{} // lets stuck requests go on
}

func newGateTest(t *testing.T, limit int) gateTest {
	t.Helper()
	c := open(t, newFake(t), t.TempDir())
	c.maxRequests = limit
	return gateTest{handler: c.Handler(nil), release: make(chan struct{})}
}

// request makes a request from an address, and returns where the code of its
// answer comes.
func (g gateTest) request(ctx context.Context, address string, w http.ResponseWriter) <-chan int {
	recorder := httptest.NewRecorder()
	if w == nil {
		w = recorder
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/nix-cache-info", nil)
	r.RemoteAddr = address
	answered := make(chan int, 1)
	go func() {
		g.handler.ServeHTTP(w, r)
		answered <- recorder.Code
	}()
	synctest.Wait()
	return answered
}

// stuck makes a request that is being served until it is released.
func (g gateTest) stuck(t *testing.T, address string) {
	t.Helper()
	g.request(t.Context(), address, stuckWriter{httptest.NewRecorder(), g.release})
}

// stuckWriter is a client that does not read until it is released.
type stuckWriter struct {
	*httptest.ResponseRecorder
	release chan struct{}
}

func (w stuckWriter) Write(b []byte) (int, error) {
	<-w.release
	return w.ResponseRecorder.Write(b)
}

func TestARequestWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateTest(t, 1)
		g.stuck(t, "10.0.0.1:1")
		second := g.request(t.Context(), "10.0.0.2:1", nil)
		time.Sleep(patience - time.Second)
		if len(second) != 0 {
			t.Fatalf("answered %d while the only turn was taken", <-second)
		}
		close(g.release)
		if got := <-second; got != http.StatusOK {
			t.Errorf("got %d when its turn came, want 200", got)
		}
	})
}

func TestARequestDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateTest(t, 1)
		g.stuck(t, "10.0.0.1:1")
		recorder, began := httptest.NewRecorder(), time.Now()
		<-g.request(t.Context(), "10.0.0.2:1", recorder)
		if recorder.Code != http.StatusServiceUnavailable || recorder.Header().Get("Retry-After") == "" {
			t.Errorf("got %d, want 503 with Retry-After", recorder.Code)
		}
		if waited := time.Since(began); waited != patience {
			t.Errorf("waited %s, want %s", waited, patience)
		}

		gone, leave := context.WithCancel(t.Context())
		third := g.request(gone, "10.0.0.3:1", nil)
		leave()
		synctest.Wait()
		if len(third) != 1 {
			t.Error("a request waits on whose client has left")
		}

		close(g.release)
		synctest.Wait()
		if got := <-g.request(t.Context(), "10.0.0.2:1", nil); got != http.StatusOK {
			t.Errorf("got %d once there was a turn, want 200", got)
		}
	})
}

func TestOneAddressLeavesTurnsForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 2 * share
		g := newGateTest(t, limit)
		for range limit {
			g.stuck(t, "10.0.0.1:1")
		}
		if other := g.request(t.Context(), "10.0.0.2:1", nil); len(other) != 1 || <-other != http.StatusOK {
			t.Error("another address is not served at once")
		}
		more := g.request(t.Context(), "10.0.0.1:2", nil)
		if len(more) != 0 {
			t.Errorf("the address got more than its share: %d", <-more)
		}
		close(g.release)
		if got := <-more; got != http.StatusOK {
			t.Errorf("got %d, want 200 after the others from that address", got)
		}
	})
}

func TestTheGateForgetsWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		leave, _ := g.enter(t.Context(), "10.0.0.1")
		if _, entered := g.enter(t.Context(), "10.0.0.2"); entered {
			t.Error("two entered at once")
		}
		if _, entered := g.enter(t.Context(), "10.0.0.1"); entered {
			t.Error("an address has more than its share")
		}
		leave()
		if len(g.clients) != 0 {
			t.Errorf("%d addresses are remembered after everybody left", len(g.clients))
		}
	})
}

func TestARequestThatGaveUpHoldsNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		leave, _ := g.enter(t.Context(), "10.0.0.1")
		enter := func() <-chan bool {
			entered := make(chan bool, 1)
			go func() {
				_, ok := g.enter(t.Context(), "10.0.0.2")
				entered <- ok
			}()
			return entered
		}
		first := enter()
		time.Sleep(patience / 2)
		second := enter()
		if <-first {
			t.Error("two entered at once")
		}
		leave()
		if !<-second {
			t.Error("the turn of the request that gave up was not given to the next one")
		}
	})
}
