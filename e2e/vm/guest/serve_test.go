package guest

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// next reads the line up to the next reply.
func next(t *testing.T, in *bufio.Reader) Reply {
	t.Helper()
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 1 {
			continue
		}
		var r Reply
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatalf("said %q: %v", text, err)
		}
		return r
	}
}

func TestServe(t *testing.T) {
	here, there := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(t.Context(), there, "b2", []string{"WORD=hello", "PATH=/usr/bin:/bin"}) }()
	in := bufio.NewReader(here)
	if diff := cmp.Diff(Reply{Boot: "b2"}, next(t, in)); diff != "" {
		t.Errorf("first words (-want +got):\n%s", diff)
	}
	for _, said := range []string{
		`{"boot":"b1","id":1,"args":["ec` + "\n", // cut off with the boot before
		`{"boot":"b1","id":1,"args":["sh","-c","echo not for me"]}` + "\n",
		`{"boot":"b2","id":2,"args":["sh","-c","echo $WORD; echo oh >&2; exit 3"]}` + "\n",
	} {
		if _, err := io.WriteString(here, said); err != nil {
			t.Fatal(err)
		}
	}
	want := Reply{Boot: "b2", ID: 2, Stdout: []byte("hello\n"), Stderr: []byte("oh\n"), Code: 3, Error: "exit status 3"}
	if diff := cmp.Diff(want, next(t, in)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if _, err := io.WriteString(here, `{"boot":"b2","id":3,"args":["/does-not-exist"]}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if r := next(t, in); r.ID != 3 || r.Code != -1 || r.Error == "" {
		t.Errorf("answer to a program that is not there: %+v", r)
	}
	if err := here.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("Serve ended without an error when the line did")
	}
}
