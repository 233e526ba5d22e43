package guest

// LineName is the name of the serial line, as both ends know it.
const LineName = "kedge.e2e"

// A Request asks to run a program, as root in / with no input.
type Request struct {
	Boot string   `json:"boot"` // the boot that is asked; another one says nothing
	ID   int      `json:"id"`   // comes back in the reply; from 1 on
	Args []string `json:"args"`
}

// A Reply says how a program ended. The first one of a boot answers nothing, and has the ID 0.
type Reply struct {
	Boot   string `json:"boot"` // the kernel's boot id
	ID     int    `json:"id"`
	Stdout []byte `json:"stdout,omitempty"`
	Stderr []byte `json:"stderr,omitempty"`
	Code   int    `json:"code,omitempty"`  // exit code, -1 if it did not start or was killed
	Error  string `json:"error,omitempty"` // empty if it ended with 0
}
