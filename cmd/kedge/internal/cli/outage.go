package cli

import (
	"fmt"
	"io"
)

// An outage is a time in which the controller does not answer somebody who
// watches. It says so once, and again when it is over: what is on the screen in
// between is old.
type outage struct {
	w     io.Writer
	lasts bool
}

// goesOn notes that a call failed with err.
func (o *outage) goesOn(err error) {
	if !o.lasts {
		fmt.Fprintf(o.w, "kedge: %s; trying again\n", Message(err))
	}
	o.lasts = true
}

// ends notes that a call was answered, and reports whether that is news.
func (o *outage) ends() bool {
	was := o.lasts
	if was {
		fmt.Fprintln(o.w, "kedge: the controller answers again")
	}
	o.lasts = false
	return was
}
