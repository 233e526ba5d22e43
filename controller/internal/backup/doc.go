// Package backup keeps what a controller cannot make again in one file, and puts it
// back: keys, whom they were used for, and what was signed last.
//
// The file is encrypted with age, to a passphrase or to keys, and names the format
// of what is in it. It is taken while the controller runs: each file in it is whole,
// and a later part is never older than an earlier one, so that what is put back is a
// state that a crash could have left. Putting it back is all or nothing; what was
// there before is moved aside, not destroyed.
package backup
