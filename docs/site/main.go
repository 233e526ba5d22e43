// Command site writes the documentation as a static site: `go run ./docs/site -out bin/site`, from the
// root of the project. Every page of docs is there, the files that they link to, and nothing from elsewhere:
// no script, no font, no style of others'.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1) //nolint:forbidigo // it is a program of the project's own
	}
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("site", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", ".", "the project's `directory`")
	out := flags.String("out", "", "write the site to this `directory`, of which nothing that was there stays")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() > 0 {
		return errors.New("usage: site -out DIRECTORY")
	}
	s, err := open(os.DirFS(*root))
	if err != nil {
		return err
	}
	return s.write(*out)
}
