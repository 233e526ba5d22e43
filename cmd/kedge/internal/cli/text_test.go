package cli

import (
	"fmt"
	"testing"
)

func TestMessageKeepsLinesAndNothingElse(t *testing.T) {
	err := fmt.Errorf("revision 0123456: %s", "build:\n\x1b[31merror:\x1b[0m no\r\nTry again\n")
	if got, want := Message(err), "revision 0123456: build:\n[31merror:[0m no\nTry again"; got != want {
		t.Errorf("Message = %q, want %q", got, want)
	}
}
