// Command setup-etc makes /etc that of a system, as the activation script of a test host's system asks for:
// by the files in <toplevel>/etc and the names in <toplevel>/etc-links.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kedge/e2e/toplevel/etc"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "setup-etc:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: setup-etc TOPLEVEL")
	}
	names, err := os.ReadFile(filepath.Join(args[0], "etc-links"))
	if err != nil {
		return err
	}
	return etc.Setup(os.Stderr, "/etc", filepath.Join(args[0], "etc"), strings.Fields(string(names)))
}
