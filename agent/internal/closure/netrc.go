package closure

import (
	"os"
	"strings"
	"unicode"
)

// A login is what a netrc says about a machine.
type login struct{ user, password string }

// loginFor returns what the netrc in file, as curl and Nix read it, says about a machine: the
// first entry for it, or else the default. A file that cannot be read says nothing.
func loginFor(file, machine string) (login, bool) {
	if file == "" {
		return login{}, false
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return login{}, false
	}
	return findLogin(string(b), machine)
}

func findLogin(text, machine string) (found login, ok bool) {
	var here bool // within the entry
	words := netrcWords(text)
	next := func() (word string) {
		if len(words) > 0 {
			word, words = words[0], words[1:]
		}
		return word
	}
	for len(words) > 0 {
		switch next() {
		case "machine":
			if here {
				return found, true
			}
			here = strings.EqualFold(next(), machine)
		case "default":
			if here {
				return found, true
			}
			here = true
		case "login":
			if word := next(); here {
				found.user = word
			}
		case "password":
			if word := next(); here {
				found.password = word
			}
		case "account":
			next()
		}
	}
	return found, here
}

// netrcWords returns the words of a netrc, without comments and macros. A word in double quotes
// may have blanks, and \ before what is meant as it is.
func netrcWords(text string) (words []string) {
	macro := false // until an empty line
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if macro = macro && line != ""; macro {
			continue
		}
		for line != "" && line[0] != '#' {
			var word string
			if word, line = netrcWord(line); word == "macdef" {
				macro = true
				break
			}
			words = append(words, word)
		}
	}
	return words
}

// netrcWord returns the first word of a line that begins with one, and the rest.
func netrcWord(line string) (word, rest string) {
	if line[0] != '"' {
		end := strings.IndexFunc(line, unicode.IsSpace)
		if end < 0 {
			return line, ""
		}
		return line[:end], strings.TrimLeftFunc(line[end:], unicode.IsSpace)
	}
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case c == '"':
			return b.String(), strings.TrimLeftFunc(line[i+1:], unicode.IsSpace)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
