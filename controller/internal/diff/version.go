package diff

import (
	"cmp"
	"strconv"
	"strings"
)

// compareVersions compares as Nix's builtins.compareVersions does.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = component(a)
		y, b = component(b)
		switch {
		case less(x, y):
			return -1
		case less(y, x):
			return 1
		}
	}
	return 0
}

// component returns the first component of a version, and what follows it: a number,
// or what is none; dots and dashes are between them.
func component(v string) (first, rest string) {
	v = strings.TrimLeft(v, ".-")
	if v == "" {
		return "", ""
	}
	number := isDigit(v[0])
	end := strings.IndexFunc(v, func(r rune) bool { return r == '.' || r == '-' || (r >= '0' && r <= '9') != number })
	if end < 0 {
		end = len(v)
	}
	return v[:end], v[end:]
}

func less(x, y string) bool {
	n, xErr := strconv.ParseInt(x, 10, 32)
	m, yErr := strconv.ParseInt(y, 10, 32)
	switch xNumber, yNumber := xErr == nil, yErr == nil; {
	case xNumber && yNumber:
		return n < m
	case x == "" && yNumber, x == "pre" && y != "pre":
		return true
	case y == "pre":
		return false
	case yNumber: // 2.3a is lower than 2.3.1
		return true
	case xNumber:
		return false
	}
	return cmp.Less(x, y)
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
