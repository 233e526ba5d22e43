package spec

import (
	"fmt"
	"iter"
)

// didYouMean returns a question about the known text that is the most like text,
// to be put behind a problem; empty if none is like it.
func didYouMean(text string, known iter.Seq[string]) string {
	best, bestDistance := "", max(1, len(text)/3)+1 // a third of it may be wrong, and one letter of a short one
	for k := range known {
		if d := distance(text, k); d < bestDistance || d == bestDistance && k < best {
			best, bestDistance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance returns how many letters have to be put in, left out, changed, or
// swapped with the next one, to make b of a.
func distance(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			change := row[j]
			if a[i] != b[j] {
				change++
			}
			next[j+1] = min(change, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
