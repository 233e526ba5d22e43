package source

import "strings"

// advice says what to do about what git or ssh said of a repository that cannot be read;
// empty where their words are all that is known. Nothing but people depends on it.
func advice(said string) string {
	for _, a := range []struct{ words, advice string }{
		{"Host key verification failed", "its host key is not one that counts: see known_hosts_file"},
		{"Permission denied", "it does not take this key: see ssh_key_file, and whether the key may still read the repository"},
		{"could not read Username", "it asks who we are: see token_file"},
		{"Authentication failed", "it does not take this token: see token_file and user, and whether the token has expired"},
		{"not found", "was it moved, or may this key or token not see it? see url"},
		{"does not appear to be a git repository", "was it moved? see url"},
		{"does not exist", "was it moved? see url"},
	} {
		if strings.Contains(said, a.words) {
			return "; " + a.advice
		}
	}
	return ""
}
