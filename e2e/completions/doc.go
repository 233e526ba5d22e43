// Package completions has the shells themselves complete command lines of the programs. It needs the
// network, for those shells.
package completions
