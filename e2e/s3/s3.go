// Package s3 runs an S3 server, which keeps what it has in memory, for the tests of what
// writes to one. It is the one that `rclone serve s3` is made of: whoever writes has to sign
// what they ask, with AWS Signature Version 4, and it verifies that.
package s3

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

// What clients are known by. The reader may write nothing.
const (
	WriterID     = "AKIAWRITER"
	WriterSecret = "writer/s3cret+"
	ReaderID     = "AKIAREADER"
	ReaderSecret = "reader/s3cret+"
)

// Bucket is the only one that there is.
const Bucket = "fleet"

// A Server is an S3 server that runs.
type Server struct {
	*httptest.Server // its URL is the endpoint
	backend          gofakes3.Backend
}

// Start starts a server. If public, then everybody may read, as by a policy of the bucket.
// It must be closed.
func Start(ctx context.Context, public bool) (*Server, error) {
	backend := s3mem.New()
	if err := backend.CreateBucket(ctx, Bucket); err != nil {
		return nil, fmt.Errorf("start S3 server: %w", err)
	}
	options := []gofakes3.Option{gofakes3.WithLogger(gofakes3.DiscardLog())}
	open := gofakes3.New(backend, options...).Server()
	signed := gofakes3.New(backend, append(options, gofakes3.WithV4Auth(map[string]string{WriterID: WriterSecret, ReaderID: ReaderSecret}))...).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		who := r.Header.Get("Authorization")
		switch {
		case who == "" && reads && public:
			open.ServeHTTP(w, r)
		case strings.Contains(who, "Credential="+ReaderID+"/") && !reads:
			http.Error(w, "AccessDenied", http.StatusForbidden)
		default:
			signed.ServeHTTP(w, r)
		}
	}))
	return &Server{server, backend}, nil
}

// Object returns what is there under a key.
func (s *Server) Object(ctx context.Context, key string) (string, error) {
	o, err := s.backend.GetObject(ctx, Bucket, key, nil)
	if err != nil {
		return "", fmt.Errorf("object %s: %w", key, err)
	}
	text, err := io.ReadAll(o.Contents)
	if err != nil {
		return "", fmt.Errorf("object %s: %w", key, err)
	}
	return string(text), o.Contents.Close()
}

// CredentialsFile returns the content of a file as AWS' programs have it.
func CredentialsFile(id, secret string) string {
	return fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", id, secret)
}
