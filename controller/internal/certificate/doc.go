// Package certificate keeps the certificate that the controller shows at all its
// ports: one from files, which are read again when they change, or one that it
// signed itself, whose key hosts pin.
//
// The key of a self-signed certificate is made once and stays; the certificate
// is made anew at every start, so that it names what the controller is called
// then. Connections that exist stay with the certificate that they began with.
package certificate
