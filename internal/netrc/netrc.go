// Package netrc reads the file in which curl and Nix have logins.
package netrc

import (
	"strings"
	"unicode"
)

// A Login is a user's with a password, which is secret; the zero value is none.
type Login struct{ User, Password string }

// Find returns what text, a netrc as curl and Nix read it, says about a machine: the first
// entry that is for it, or for all.
func Find(text, machine string) (found Login) {
	here := false // within the entry
	words := wordsOf(text)
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
				return found
			}
			here = strings.EqualFold(next(), machine)
		case "default":
			if here {
				return found
			}
			here = true
		case "login":
			if word := next(); here {
				found.User = word
			}
		case "password":
			if word := next(); here {
				found.Password = word
			}
		case "account":
			next()
		}
	}
	return found
}

// wordsOf returns the words of a netrc, without comments and macros. A word in double quotes
// may have blanks, and \ before what is meant as it is.
func wordsOf(text string) (words []string) {
	macro := false // until an empty line
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if macro = macro && line != ""; macro {
			continue
		}
		for line != "" && line[0] != '#' {
			var word string
			if word, line = wordOf(line); word == "macdef" {
				macro = true
				break
			}
			words = append(words, word)
		}
	}
	return words
}

// wordOf returns the first word of a line that begins with one, and the rest.
func wordOf(line string) (word, rest string) {
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
