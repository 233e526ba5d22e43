package control_test

import (
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"kedge/agent/internal/control"
	"kedge/proto"
)

// serveOther serves the answers of another version's agent: testdata/1 has those
// of the first one, with what a later one may add. They are never written anew.
func serveOther(t *testing.T) control.Client {
	t.Helper()
	mux := http.NewServeMux()
	for _, answer := range []string{"status", "history"} {
		mux.HandleFunc("GET /v1/"+answer, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join("testdata", "1", answer+".json"))
		})
	}
	dir := t.TempDir()
	for _, socket := range []string{control.StatusSocket, control.ControlSocket} {
		l, err := net.Listen("unix", filepath.Join(dir, socket))
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: mux}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = s.Serve(l) // returns when it is closed
		}()
		t.Cleanup(func() {
			_ = s.Close() // nothing was written through it
			<-served
		})
	}
	return control.Client{Dir: dir}
}

func TestAnAgentOfAnotherVersionIsUnderstood(t *testing.T) {
	c := serveOther(t)
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unheard, told := s.Condition("UnheardOf")
	if s.Host.String() != "web1" || s.Agent != "1.0.0" || s.Serial != 7 || s.Systems.Generation != 3 ||
		s.Deployment.Phase != proto.PhaseCommitted || s.Deployment.Reason != "unheard-of" || !told || unheard.Status != proto.StatusTrue {
		t.Errorf("status is read as %+v", s)
	}
	h, err := c.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Deployments) != 1 || h.Deployments[0].Reason != "unheard-of" || h.Deployments[0].Attempt != 2 || len(h.Deployments[0].Steps) != 3 {
		t.Errorf("history is read as %+v", h)
	}
}

func TestAnAgentThatCannotBeAskedSaysThatItIsAnother(t *testing.T) {
	_, err := serveOther(t).Suspend(t.Context(), control.SuspendRequest{})
	var refused *control.Error
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, "another version") {
		t.Errorf("got %v", err)
	}
}
