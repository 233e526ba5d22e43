package spec

import (
	"bytes"
	"encoding/json"
)

// A kind is what a JSON value is, in Nix's words.
type kind string

const (
	kindObject kind = "an attribute set"
	kindList   kind = "a list"
	kindText   kind = "a text"
	kindNumber kind = "a number"
	kindBool   kind = "true or false"
	kindNull   kind = "null"
)

// kindOf returns the kind of a value that is valid JSON.
func kindOf(raw json.RawMessage) kind {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return kindNull
	}
	switch raw[0] {
	case '{':
		return kindObject
	case '[':
		return kindList
	case '"':
		return kindText
	case 't', 'f':
		return kindBool
	case 'n':
		return kindNull
	}
	return kindNumber
}

// maxShown bounds how much of a value is shown.
const maxShown = 60

// describe returns raw if it is short, and what it is otherwise.
func describe(raw json.RawMessage) string {
	k := kindOf(raw)
	if k == kindObject || k == kindList || len(raw) > maxShown {
		return string(k)
	}
	return string(bytes.TrimSpace(raw))
}
