// Package hatest has the tests of several controllers: real processes, on real NATS
// servers, that are killed, stopped and cut off.
package hatest
