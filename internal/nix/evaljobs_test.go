package nix

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

const (
	jobDerivation = "/nix/store/00000000000000000000000000000000-web1.drv"
	jobOut        = "/nix/store/11111111111111111111111111111111-web1"
	// goodJob is a line as nix-eval-jobs 2.32 writes it.
	goodJob = `{"attr":"web1","attrPath":["web1"],"drvPath":"` + jobDerivation + `","name":"web1","outputs":{"out":"` + jobOut + `"},"requiredSystemFeatures":[],"system":"x86_64-linux"}`
	badJob  = `{"attr":"web2","attrPath":["web2"],"error":"error:\n … while evaluating\n\n error: no file system"}`
)

func TestEvalJobs(t *testing.T) {
	c, calls := fakeNix(t, "cat <<'EOF'\n"+goodJob+"\n"+badJob+"\nEOF\necho 'error: a worker died' >&2; exit 1")
	if !c.HasEvalJobs() || (&CLI{BinDir: t.TempDir()}).HasEvalJobs() {
		t.Error("nix-eval-jobs is not found, or where there is none")
	}
	var got []Job
	err := c.EvalJobs(t.Context(), EvalJobsOptions{Installable: "path:/x#hosts", Select: "h: h", Workers: 3, Memory: 1024}, func(j Job) { got = append(got, j) })
	if failed, ok := errors.AsType[*CommandError](err); !ok || failed.ExitCode != 1 {
		t.Errorf("error = %v, want that of the command", err)
	}
	want := []Job{
		{Name: "web1", Derivation: parsePath(t, jobDerivation), Out: parsePath(t, jobOut)},
		{Name: "web2", Error: "error:\n … while evaluating\n\n error: no file system"},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b proto.StorePath) bool { return a == b })); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	wantCall := "nix-eval-jobs --flake --workers 3 --max-memory-size 1024 --select h: h --option extra-experimental-features nix-command flakes path:/x#hosts"
	if diff := cmp.Diff([]string{wantCall}, calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestEvalJobsRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, line := range map[string]string{
		"no JSON":               "warning: what is this",
		"another attribute":     strings.Replace(goodJob, `["web1"]`, `["web1","web2"]`, 1),
		"no derivation":         `{"attrPath":["web1"],"outputs":{"out":"` + jobOut + `"}}`,
		"no path":               strings.Replace(goodJob, jobOut, "/tmp/x", 1),
		"an output built later": strings.Replace(goodJob, `"`+jobOut+`"`, "null", 1),
	} {
		c, _ := fakeNix(t, "echo '"+line+"'")
		if err := c.EvalJobs(t.Context(), EvalJobsOptions{Workers: 1, Memory: 1}, func(j Job) { t.Errorf("%s: got %v", name, j) }); err == nil {
			t.Errorf("%s: it was believed", name)
		}
	}
}

// TestEvalJobsSaysWhyItRefusesWhatAProgramThatFailsSaid: how that ended is not the cause.
func TestEvalJobsSaysWhyItRefusesWhatAProgramThatFailsSaid(t *testing.T) {
	for name, tt := range map[string]struct{ says, want string }{
		"no JSON":               {"echo warning: what is this", "invalid character"},
		"a line without an end": {"head -c 5000000 /dev/zero", errGarbled.Error()},
	} {
		c, _ := fakeNix(t, tt.says+"; echo 'error: a worker died' >&2; exit 3")
		err := c.EvalJobs(t.Context(), EvalJobsOptions{Workers: 1, Memory: 1}, func(j Job) { t.Errorf("%s: got %v", name, j) })
		if failed, ok := errors.AsType[*CommandError](err); !ok || failed.ExitCode != 3 {
			t.Fatalf("%s: error = %v, want that of the command in it", name, err)
		}
		if _, rest, found := strings.Cut(err.Error(), tt.want); !found || !strings.Contains(rest, "a worker died") {
			t.Errorf("%s: error = %v, want %q first, and then what the command says", name, err, tt.want)
		}
	}
}

func TestLines(t *testing.T) {
	var got []string
	l := lines{each: func(line []byte) error { got = append(got, string(line)); return nil }}
	for _, part := range []string{"a", "b\nc", "\n\nd", "\nno line"} {
		if _, err := l.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"ab", "c", "", "d"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if _, err := l.Write(make([]byte, lineLimit)); !errors.Is(err, errGarbled) {
		t.Errorf("a line without an end: error = %v, want %v", err, errGarbled)
	}
}

// What a repository has nix-eval-jobs say is a job that is whole, or none.
func FuzzParseJob(f *testing.F) {
	const path = "/nix/store/s73vq4czw0wshq3dvvfg483ppwrgxrmm-x"
	for _, s := range []string{
		`{"attrPath":["web1"],"drvPath":"` + path + `.drv","outputs":{"out":"` + path + `"}}`, `{"attrPath":["web1"],"error":"boom"}`,
		`{"attrPath":["a","b"]}`, `{"attrPath":["web1"],"outputs":{"out":null}}`, `{"attrPath":["web1"],"drvPath":"/bin/sh","outputs":{"out":"../x"}}`, `{`, ``,
		`{"attrPath":["web1"],"drvPath":"","outputs":{"out":"` + path + `"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		job, err := parseJob(line)
		if err == nil && job.Error == "" && (job.Derivation.IsZero() || job.Out.IsZero()) {
			t.Errorf("parse %q: got %+v", line, job)
		}
	})
}
