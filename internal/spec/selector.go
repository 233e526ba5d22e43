package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"kedge/proto"
)

// maxSelector bounds the text of a selector, and with it how deep it nests.
const maxSelector = 1000

// A Selector selects hosts by their names and tags:
//
//	all                             every host
//	web1                            the host of that name
//	web*, db?                       names; * is any text, ? any one character
//	tag:eu                          hosts with the tag
//	not A, A and B, A or B, ( A )   in the order in which they bind
//
// The zero value selects nobody; construct with [ParseSelector] or [All].
type Selector struct{ node }

// All returns the selector of every host.
func All() Selector { return Selector{node{op: opAll}} }

// ParseSelector parses text. An error says at which character it is about.
func ParseSelector(text string) (Selector, error) {
	if len(text) > maxSelector {
		return Selector{}, fmt.Errorf("a selector must not be longer than %d characters, got %d", maxSelector, len(text))
	}
	p := parser{words: split(text), end: len(text) + 1}
	n, err := p.either()
	if err == nil && len(p.words) > 0 {
		err = p.expected(`"and" or "or"`)
	}
	if err != nil {
		return Selector{}, fmt.Errorf("%q is no selector: %w", text, err)
	}
	return Selector{n}, nil
}

// Match reports whether s selects a host of that name with these tags.
func (s Selector) Match(name proto.HostName, tags []string) bool { return s.match(name.String(), tags) }

// IsZero reports whether s is the zero value.
func (s Selector) IsZero() bool { return s.op == opNone }

// Equal reports whether s is written as o is.
func (s Selector) Equal(o Selector) bool { return s.String() == o.String() }

// String returns s as [ParseSelector] takes it, in one way of all those to write
// it; empty for the zero value.
func (s Selector) String() string { return s.text(opOr) }

// MarshalText implements encoding.TextMarshaler.
func (s Selector) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses b; see [ParseSelector].
func (s *Selector) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSelector(string(b))
	return err
}

// An op is what a node of a selector does.
type op uint8

// Ordered by how closely they bind.
const (
	opNone op = iota
	opOr
	opAnd
	opNot
	opAll
	opTag
	opName
)

// A node is one part of a selector.
type node struct {
	op   op
	word string // tag or pattern of a name
	args []node // two or more of opOr and opAnd, none of which is of the same op; one of opNot
}

func (n node) match(name string, tags []string) bool {
	holds := func(arg node) bool { return arg.match(name, tags) }
	switch n.op {
	case opNone:
		return false
	case opOr:
		return slices.ContainsFunc(n.args, holds)
	case opAnd:
		return !slices.ContainsFunc(n.args, func(arg node) bool { return !holds(arg) })
	case opNot:
		return !holds(n.args[0])
	case opAll:
		return true
	case opTag:
		return slices.Contains(tags, n.word)
	case opName:
		ok, err := path.Match(n.word, name)
		return ok && err == nil
	}
	return false
}

// text returns n, in parentheses if it binds less closely than op.
func (n node) text(op op) string {
	switch n.op {
	case opNone:
		return ""
	case opOr, opAnd:
		parts := make([]string, len(n.args))
		for i, arg := range n.args {
			parts[i] = arg.text(n.op)
		}
		between := " and "
		if n.op == opOr {
			between = " or "
		}
		text := strings.Join(parts, between)
		if n.op < op {
			return "(" + text + ")"
		}
		return text
	case opNot:
		return "not " + n.args[0].text(opNot)
	case opAll:
		return "all"
	case opTag:
		return tagPrefix + n.word
	case opName:
		return n.word
	}
	return ""
}

// leaves calls visit with every tag and every pattern of a name.
func (n node) leaves(visit func(node)) {
	if n.op == opTag || n.op == opName {
		visit(n)
	}
	for _, arg := range n.args {
		arg.leaves(visit)
	}
}
