// Package control is how programs on a host ask its agent: HTTP with JSON over
// two Unix sockets in the runtime directory.
//
// Who may open a socket may ask everything that it serves: [ControlSocket] is
// root's alone, [StatusSocket] is for whoever may look. What a path means never
// changes within its version, because the agent that answers may be older or
// newer than the one that asks.
package control
