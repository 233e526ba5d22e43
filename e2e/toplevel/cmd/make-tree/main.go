// Command make-tree is the builder of the test hosts' systems: it makes the folder $out by the tree in the
// file $treePath.
package main

import (
	"fmt"
	"os"

	"kedge/e2e/toplevel/tree"
)

func main() {
	if err := run(os.Getenv("treePath"), os.Getenv("out")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file, out string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	t, err := tree.Parse(text)
	if err != nil {
		return err
	}
	return t.Make(out)
}
