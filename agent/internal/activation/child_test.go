package activation

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Nobody can make a process wait for the kernel at will: here it is one that never ends.
func TestAKilledChildIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nobody = 1 << 30 // above every process id
		began := time.Now()
		waitErr, err := child{grace: time.Minute}.stop(nobody, make(chan error))
		if err == nil || !strings.Contains(err.Error(), "do not end though they were killed") || waitErr != nil {
			t.Errorf("got %v and %v", waitErr, err)
		}
		if took := time.Since(began); took != time.Minute+killPatience {
			t.Errorf("it was waited for for %v", took)
		}
	})
}
