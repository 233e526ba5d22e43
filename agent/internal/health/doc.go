// Package health judges a running system: which units failed that did not fail
// before, which declared checks pass, and whether the restarted agent made
// contact.
package health
