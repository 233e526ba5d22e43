// Package activation runs a toplevel's switch-to-configuration and says what
// came of it, from facts and not from its exit code alone.
package activation
