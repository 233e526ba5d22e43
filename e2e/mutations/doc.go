// Package mutations breaks the code on purpose, one line at a time, and sees
// whether a test turns red: `make mutations`. What is broken is in the folder
// list, one file for each part of the code, in the order of their names:
//
//	# Preflight
//
//	forget the reserve
//	agent/internal/closure/room.go TestRoom
//	-	return missing.Size() + missing.Size()/10 + r.Reserve
//	+	return missing.Size() + missing.Size()/10
//
// First comes what is broken, in words; then the file, a test that turns red and,
// if that is not in the file's own package, the folder of its package; then lines
// of the file, each of which is there once, and what takes their place. More lines
// may follow for other places of the same file.
package mutations
