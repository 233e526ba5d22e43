package main

import (
	"flag"
	"io"
	"testing"

	"kedge/cmd/kedge/internal/cli"
	"kedge/internal/manual"
)

var update = flag.Bool("update", false, "write the manual anew")

func TestTheManualSaysWhatThereIs(t *testing.T) {
	pages, err := manual.Pages(cli.Command(cli.Options{Stdout: io.Discard, Stderr: io.Discard}))
	if err != nil {
		t.Fatal(err)
	}
	const docs, program = "../../docs", "kedge"
	if *update {
		if err := manual.Update(docs, program, pages); err != nil {
			t.Fatal(err)
		}
	}
	drift, err := manual.Drift(docs, program, pages)
	if err != nil {
		t.Fatal(err)
	}
	if len(drift) > 0 {
		t.Errorf("docs is not what the commands say in %q; run `make manual`", drift)
	}
}
