package spec

import (
	"fmt"
	"regexp"
	"strings"
)

const tagPrefix = "tag:"

var (
	label       = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	namePattern = regexp.MustCompile(`^[a-z0-9*?-]{1,63}$`)
)

// A word is a parenthesis, or what stands between spaces and parentheses.
type word struct {
	text string
	at   int // its first character, from 1
}

func split(text string) (words []word) {
	start := 0
	flush := func(end int) {
		if start < end {
			words = append(words, word{text[start:end], start + 1})
		}
		start = end + 1
	}
	for i := range len(text) {
		switch text[i] {
		case ' ', '\t', '\n', '\r':
			flush(i)
		case '(', ')':
			flush(i)
			words = append(words, word{text[i : i+1], i + 1})
		}
	}
	flush(len(text))
	return words
}

// A parser has the words that are left.
type parser struct {
	words []word
	end   int // the character behind the last one, from 1
}

// take removes the next word if it is text.
func (p *parser) take(text string) bool {
	if len(p.words) == 0 || p.words[0].text != text {
		return false
	}
	p.words = p.words[1:]
	return true
}

func (p *parser) expected(what string) error {
	if len(p.words) == 0 {
		return fmt.Errorf("at %d: must go on with %s", p.end, what)
	}
	return fmt.Errorf("at %d: must be %s, got %q", p.words[0].at, what, p.words[0].text)
}

func (p *parser) either() (node, error) { return p.chain(opOr, "or", p.both) }

func (p *parser) both() (node, error) { return p.chain(opAnd, "and", p.one) }

// chain parses one part, or several with the operator between them.
func (p *parser) chain(op op, operator string, part func() (node, error)) (node, error) {
	first, err := part()
	if err != nil {
		return node{}, err
	}
	all := node{op: op}
	all.add(first)
	for p.take(operator) {
		next, err := part()
		if err != nil {
			return node{}, err
		}
		all.add(next)
	}
	if len(all.args) == 1 {
		return first, nil
	}
	return all, nil
}

// add adds arg to n's, or its arguments if it does what n does.
func (n *node) add(arg node) {
	if arg.op == n.op {
		n.args = append(n.args, arg.args...)
		return
	}
	n.args = append(n.args, arg)
}

// one parses what no operator is needed for.
func (p *parser) one() (node, error) {
	if p.take("not") {
		arg, err := p.one()
		return node{op: opNot, args: []node{arg}}, err
	}
	if p.take("(") {
		n, err := p.either()
		if err == nil && !p.take(")") {
			err = p.expected(`")", "and" or "or"`)
		}
		return n, err
	}
	if len(p.words) == 0 {
		return node{}, p.expected("hosts")
	}
	n, ok := leaf(p.words[0].text)
	if !ok {
		return node{}, p.expected(`a tag such as tag:web, a name such as web1 or web*, "all", "not" or "("`)
	}
	p.words = p.words[1:]
	return n, nil
}

func leaf(text string) (node, bool) {
	if tag, ok := strings.CutPrefix(text, tagPrefix); ok {
		return node{op: opTag, word: tag}, label.MatchString(tag)
	}
	switch text {
	case "all":
		return node{op: opAll}, true
	case "and", "or", "not":
		return node{}, false
	}
	return node{op: opName, word: text}, namePattern.MatchString(text)
}
