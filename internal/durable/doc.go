// Package durable replaces files so that a crash or a power cut at any instant
// leaves the old content or the new one, never a part of it, and so that what
// was reported as written is still there afterwards.
//
// A replacement is written to a temporary file in the same directory, synced,
// renamed over the old name, and the directory is synced too, because a name is
// data. A crash may leave a temporary file behind, named .<name>.tmp-<random>;
// nothing reads it, and [Leftover] knows it.
//
// A [Document] is such a file with JSON in it and a format number, which is
// refused, not guessed at, when this version does not know it.
//
// All functions are safe for concurrent use; when two replace one file, one of
// the two contents stays.
package durable
