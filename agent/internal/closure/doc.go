// Package closure brings the closure of a toplevel to this host, and says
// before anything is touched whether the host can be switched to it.
//
// Nothing is built or evaluated here. A path is accepted only with a trusted
// signature, and the closure only if its list has the digest that was signed
// together with the toplevel.
package closure
