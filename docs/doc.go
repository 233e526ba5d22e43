// Package docs holds the documentation to what there is: its tests follow every link, and look up every
// command line.
package docs
