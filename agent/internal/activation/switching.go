package activation

import "path/filepath"

// Switching reports whether a switch-to-configuration runs, whoever started it. It
// looks for the lock and does not take it: that could make one fail that is
// about to begin. root is the directory that the lock is looked for in; empty is /.
func Switching(root string) bool {
	_, held := lockedBy(filepath.Join(root, lockFile))
	return held
}
