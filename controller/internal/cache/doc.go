// Package cache keeps the binary cache: a directory in Nix's own format, filled
// by `nix copy` and served over HTTP, by us or by any web server.
//
// The cache's key signs what we built, and nothing else: [Cache.Push]. What
// others built comes in with the signatures that it has, by [Cache.Relay],
// after [Cache.Signed] found one of a trusted key on every path. Where we built that, too,
// or our key was replaced, its signature is added to those that are there.
//
// What was pushed is on the disk and whole when it is reported: narinfos are
// read back, their signatures verified, and the files synced. From them the
// closure lists are made, too, so that what the release pins is what is served,
// and no process has to be started to ask.
//
// [Cache.Prune] removes what nobody needs any more, while others read.
//
//	nix-cache-info
//	<hash>.narinfo        one per store path
//	nar/<hash>.nar.zst
//	closures/<base>.txt   closure list of a toplevel; see proto.Closure
package cache
