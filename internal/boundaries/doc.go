// Package boundaries holds no code: its tests keep the house in order. They
// look at the graph of imports as the go command sees it, with every build tag
// of the project, and fail where a package reaches into a room that is not its
// own. What one file alone shows is left to the linter (depguard in
// .golangci.yml).
package boundaries
