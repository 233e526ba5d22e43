package main

import (
	"flag"
	"io"
	"testing"

	"kedge/internal/manual"
)

var update = flag.Bool("update", false, "write the manual anew")

func TestTheManualSaysWhatThereIs(t *testing.T) {
	drift, err := manual.Check("../../docs", command(io.Discard, io.Discard), *update)
	if err != nil || len(drift) > 0 {
		t.Errorf("docs is not what the commands say in %q (%v); run `make manual`", drift, err)
	}
}
