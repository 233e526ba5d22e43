//go:build e2e

package completions_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kedge/e2e/internal/command"
	"kedge/e2e/internal/debian"
)

// Each shell loads what a program prints, and completes the words of WORDS, of which the last is begun.
const (
	bash = `source <("$PROGRAM" completion bash 2>/dev/null)
[ "$(complete -p "$PROGRAM")" ] || exit 1
read -ra COMP_WORDS <<<"$WORDS"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$WORDS COMP_POINT=${#WORDS} COMP_TYPE=9
compopt() { :; } # complains where nobody has pressed a key
__start_"$PROGRAM" "$PROGRAM" "${COMP_WORDS[-1]}"
printf '%s\n' "${COMPREPLY[@]}"
`
	zsh = `fpath=($ROOT/usr/share/zsh/functions/**/*(/N))
module_path=($ROOT/usr/lib/*/zsh/*(/N))
autoload -Uz compinit && compinit -u -D
source <($PROGRAM completion zsh)
[[ $_comps[$PROGRAM] == _$PROGRAM ]] || exit 1
_describe() { print -rl -- ${completions%%:*} } # what it has to offer, where nobody has pressed a key
words=(${=WORDS}) CURRENT=${#words}
_$PROGRAM
`
	fish = `$PROGRAM completion fish | source
complete -C "$WORDS" | string replace -r '\t.*' ''
`
)

// TestShellsComplete: bash, zsh and fish, as Debian has them, complete commands and flags of each program.
func TestShellsComplete(t *testing.T) {
	bin, shells := t.TempDir(), t.TempDir()
	if _, err := command.Run(t.Context(), command.Command{Args: []string{"go", "build", "-o", bin + "/", "./cmd/..."}, Dir: "../.."}); err != nil {
		t.Fatal(err)
	}
	if err := debian.Unpack(t.Context(), shells, "bash-completion", "zsh", "zsh-common", "fish", "fish-common", "libpcre2-32-0"); err != nil {
		t.Fatal(err)
	}
	libraries, err := filepath.Glob(filepath.Join(shells, "usr/lib/*-linux-gnu*"))
	if err != nil {
		t.Fatal(err)
	}
	helpers := "source " + filepath.Join(shells, "usr/share/bash-completion/bash_completion") + "\n"
	for _, shell := range []struct {
		name string
		args []string
	}{
		{"bash", []string{"bash", "--norc", "-c", helpers + bash}},
		{"zsh", []string{filepath.Join(shells, "bin/zsh"), "-f", "-c", zsh}},
		{"fish", []string{filepath.Join(shells, "usr/bin/fish"), "--no-config", "-c", fish}},
	} {
		for words, want := range map[string][]string{
			"kedge rollout p":              {"pause", "plan", "promote"},
			"kedge host add web1 --ou":     {"--out"},
			"kedge-agent su":               {"suspend"},
			"kedge-controller nats-config": {"nats-config"},
		} {
			program, _, _ := strings.Cut(words, " ")
			env := []string{
				"PATH=" + bin + ":" + os.Getenv("PATH"), "LD_LIBRARY_PATH=" + strings.Join(libraries, ":"), "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8",
				"ROOT=" + shells, "PROGRAM=" + program, "WORDS=" + words,
			}
			said, err := command.Run(t.Context(), command.Command{Args: shell.args, Env: env})
			if err != nil {
				t.Errorf("%s: %q: %v", shell.name, words, err)
				continue
			}
			got := strings.Fields(said)
			slices.Sort(got)
			for _, word := range want {
				if !slices.Contains(got, word) {
					t.Errorf("%s completes %q with %q, want %q", shell.name, words, got, want)
				}
			}
		}
	}
}
