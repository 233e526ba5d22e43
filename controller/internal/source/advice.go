package source

import "strings"

// A party is whose repository cannot be read: other advice helps with each.
type party int

const (
	theSource party = iota
	ourModule       // a submodule on the server of the source
	elsewhere       // a submodule on another one
)

// keepOurs is why a submodule elsewhere is shown no key and no token.
const keepOurs = "ssh_key_file and token_file are for the server of the source alone; it must be public, or readable with what git finds by itself"

// advice says what to do about what git or ssh said of a repository that cannot be read;
// empty where their words are all that is known. Nothing but people depends on it.
func (p party) advice(said string) string {
	for _, a := range []struct {
		words  string
		advice [3]string // by party
	}{
		{"Host key verification failed", same("its host key is not one that counts: see known_hosts_file")},
		{"Permission denied", ours("it does not take this key: see ssh_key_file, and whether the key may still read the repository")},
		{"could not read Username", ours("it asks who we are: see token_file")},
		{"Authentication failed", ours("it does not take this token: see token_file and user, and whether the token has expired")},
		{"not found", [3]string{"was it moved, or may this key or token not see it? see url", "was it moved, or may this key or token not see it? see .gitmodules", "was it moved, or is it not public? see .gitmodules"}},
		{"does not appear to be a git repository", moved()},
		{"does not exist", moved()},
	} {
		if strings.Contains(said, a.words) {
			return "; " + a.advice[p]
		}
	}
	return ""
}

func same(s string) [3]string { return [3]string{s, s, s} }

func ours(s string) [3]string { return [3]string{s, s, keepOurs} }

func moved() [3]string {
	return [3]string{"was it moved? see url", "was it moved? see .gitmodules", "was it moved? see .gitmodules"}
}
