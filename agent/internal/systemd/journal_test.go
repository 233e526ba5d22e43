package systemd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/e2e/unkillable"
	"kedge/internal/command"
)

func TestMain(m *testing.M) {
	if unkillable.Hold() {
		return
	}
	os.Exit(m.Run())
}

// fakeJournalctl puts a shell script in the place of journalctl.
func fakeJournalctl(t *testing.T, body string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestJournalAsksFor(t *testing.T) {
	fakeJournalctl(t, `printf '%s\n' "$@"`)
	common := []string{"--quiet", "--no-pager", "--output=cat", "--boot"}
	tests := []struct {
		name  string
		query JournalQuery
		want  []string
	}{
		{"a unit", JournalQuery{Unit: "a.service"}, []string{"--lines=20", "--unit=a.service"}},
		{
			"a unit since a time",
			JournalQuery{Unit: "a.service", Since: time.Unix(1234, 5678), Lines: 7},
			[]string{"--lines=7", "--since=@1234.000005", "--unit=a.service"},
		},
		{
			"systemd about a unit",
			JournalQuery{Unit: "a.service", BySystemd: true},
			[]string{"--lines=20", "_PID=1", "UNIT=a.service"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := (&Client{}).Journal(t.Context(), tt.query)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(slices.Concat(common, tt.want), got); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJournalRefusesAQueryForEverything(t *testing.T) {
	if _, err := (&Client{}).Journal(t.Context(), JournalQuery{}); err == nil {
		t.Error("no error")
	}
}

func TestJournalTellsWhyItFailed(t *testing.T) {
	fakeJournalctl(t, "echo 'no journal here' >&2; exit 1")
	_, err := (&Client{}).Journal(t.Context(), JournalQuery{Unit: "a.service"})
	if err == nil || !strings.Contains(err.Error(), "a.service") || !strings.Contains(err.Error(), "no journal here") {
		t.Errorf("got %v", err)
	}
}

func TestAJournalctlThatCannotBeKilledIsNotWaitedFor(t *testing.T) {
	script, held := unkillable.Script(t)
	fakeJournalctl(t, script)
	ctx := unkillable.Context(t, held, errors.New("the time is up"))
	_, err := (&Client{}).Journal(ctx, JournalQuery{Unit: "a.service"})
	if err == nil || !strings.Contains(err.Error(), "the time is up; process ") || !strings.Contains(err.Error(), " does not end though it was killed") {
		t.Errorf("got %v", err)
	}
}

func TestAJournalIsBoundedTextWithoutControlCharacters(t *testing.T) {
	tests := []struct {
		name  string
		write []string
		want  []string
	}{
		{"nothing", nil, nil},
		{"whole lines", []string{"a\nb", "c\n"}, []string{"a", "bc"}},
		{"a last line without end", []string{"a\nb"}, []string{"a", "b"}},
		{"no blank lines", []string{"a\n\n \t\nb\r\n"}, []string{"a", "b"}},
		{"no escape sequences", []string{"\x1b[2Jgone\a\u009b1m\n"}, []string{" [2Jgone  1m"}},
		{"valid text", []string{"a\xffb\n"}, []string{"a\uFFFDb"}},
		{"cut lines", []string{strings.Repeat("x", journalMaxLine+1) + "\n"}, []string{strings.Repeat("x", journalMaxLine) + "…"}},
		{"the end of too much, from a whole line on", []string{"a\nb\n", strings.Repeat("\n", journalMaxBytes-3), "c\n"}, []string{"c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			said := command.Tail{Limit: journalMaxBytes}
			for _, s := range tt.write {
				if n, err := said.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("write: %d, %v", n, err)
				}
			}
			if diff := cmp.Diff(tt.want, printableLines(said.String())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPollAsksLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		err := poll(t.Context(), func() (bool, error) {
			at = append(at, time.Since(start))
			return len(at) == 8, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := "[0s 20ms 60ms 140ms 300ms 620ms 1.12s 1.62s]"
		if got := fmt.Sprint(at); got != want {
			t.Errorf("asked at %v, want %v", got, want)
		}
	})
}

func TestPollReturnsTheErrorOfItsQuestion(t *testing.T) {
	want := errors.New("no")
	if err := poll(t.Context(), func() (bool, error) { return false, want }); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
