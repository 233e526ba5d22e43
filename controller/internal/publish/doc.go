// Package publish says to every host what it shall run: signed, durable, and in
// that order.
//
// The truth about a host is one file, its [Record]: what was signed for it
// last. The message bus holds a copy. A statement is signed, written to the file,
// and only then put on the bus, by compare-and-set; so whatever dies in between,
// the file is never behind the bus unless it was lost, or somebody else wrote
// there, and [Publisher.Sync] brings the bus to where the file is.
//
// Serials only grow. If the bus holds a statement that this controller's keys
// signed and that is newer than the file, which happens when the file was
// restored from a backup or another controller was at work, then it is adopted,
// and the next statement goes above it. The same holds of hosts whose file is gone.
// Where the bus was lost, too, hosts say what they accepted last, and what is said to
// them is signed anew above that. What is there and was not signed by us is no statement, and is
// overwritten.
package publish
