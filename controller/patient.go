package controller

import (
	"net/http"
	"time"
)

// mountCache serves the files of a cache.
func mountCache(m *http.ServeMux, files http.Handler) {
	m.Handle("GET /cache/", http.StripPrefix("/cache", patient(files)))
}

// patient has an answer take as long as it goes on: who reads slowly, as it was told to, gets
// all of a large file.
func patient(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(patientWriter{w, http.NewResponseController(w)}, r)
	})
}

// patientWriter begins the time that an answer may take anew with each part of it.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements [http.ResponseWriter].
func (w patientWriter) Write(p []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(answerTimeout)) // else the whole answer has as long
	return w.ResponseWriter.Write(p)
}

// Unwrap is what [http.ResponseController] looks for.
func (w patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
