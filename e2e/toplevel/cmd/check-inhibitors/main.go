// Command check-inhibitors CURRENT INCOMING compares two systems' files of switch inhibitors and
// exits 1 if going live from one to the other is not recommended.
package main

import (
	"errors"
	"fmt"
	"os"

	"kedge/e2e/toplevel/inhibitors"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, inhibitors.ErrChanged) {
			fmt.Fprintln(os.Stderr, "check-inhibitors:", err)
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: check-inhibitors CURRENT INCOMING")
	}
	return inhibitors.Check(os.Stderr, args[0], args[1])
}
