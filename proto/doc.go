// Package proto is the contract between controller, agents and operators: the
// messages, the names they travel under, and the signatures that make them
// worth acting on.
//
// Everything here is a value that was parsed at the edge. A [HostName], a
// [StorePath], a [Phase] that exists is valid; decoding JSON into one of them
// is parsing, and fails where parsing would. Names of subjects, buckets and
// streams are built here only, from such values, so that no byte of outside
// text becomes part of a subject.
//
// # Compatibility
//
// Messages are JSON. Each that is stored or signed carries a format number;
// the calls of the operator API have their version in the subject. Readers
// ignore fields that they do not know, and refuse a format or an enumerated
// value that they do not know, but for a [Reason] and a [ConditionType], which
// grow. Golden files in testdata pin every message.
//
// # Trust
//
// The message bus is not trusted. What a host shall run is said by two signed
// statements, a [Release] (what was built, signed by release keys) and an
// [Assignment] (run it now, signed by the controller's key), each in an
// [Envelope] whose signature covers the exact bytes sent. [Desired.Verify]
// decides whether a host may act on them.
//
// The package imports the standard library only.
package proto
