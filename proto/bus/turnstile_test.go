package bus

import (
	"testing"
	"time"
)

func TestATurnstileLetsEachHostInByItself(t *testing.T) {
	stile, now := newTurnstile(), time.Now()
	web1, web2 := hostName(t, "web1"), hostName(t, "web2")
	enters := func(what string, want bool) {
		t.Helper()
		if err := stile.enter(web1, now); (err == nil) != want {
			t.Errorf("%s: got %v, want it to be let in: %t", what, err, want)
		}
	}
	enters("the first request", true)
	enters("a second one at the same time", false)
	if err := stile.enter(web2, now); err != nil {
		t.Errorf("another host: %v", err)
	}
	for range turnstileRequests - 1 {
		stile.leave(web1)
		enters("one after the other", true)
	}
	stile.leave(web1)
	now = now.Add(turnstileWindow - time.Nanosecond)
	enters("one too many", false)
	now = now.Add(time.Nanosecond)
	enters("a while later", true)
}
