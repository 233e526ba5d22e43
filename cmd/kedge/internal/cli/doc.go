// Package cli is kedge, the operators' command line: commands, tables, and
// waiting for what hosts make of a deployment. Everything it knows it asks the
// controller for, over the operator API in [kedge/proto].
//
// Exit codes are part of the contract with scripts; see [ExitCode].
package cli
