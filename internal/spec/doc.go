// Package spec reads what a fleet's flake says about its rollouts: the output
// `kedge`, which docs/rollouts.md describes.
//
// [Parse] takes the output as JSON and names everything that is wrong with it at
// once, each with the path of the attribute. What it returns is whole: every
// selector parses and finds hosts, every wave has members of its own, and what a
// wave leaves to the rollout is filled in.
//
// It performs no I/O and reads no clock.
package spec
