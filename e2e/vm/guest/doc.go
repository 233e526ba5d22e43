// Package guest is how the harness talks to a computer: over a serial line, one JSON message a line, to a program in the
// computer that runs what it is asked to. The line outlives the computer's boots, and what is said in one boot is for that
// boot only.
package guest
