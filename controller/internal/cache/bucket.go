package cache

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A bucket is one of S3, or of what speaks like it. The controller signs what it asks of
// it, so that this needs no Nix that can: AWS Signature Version 4.
type bucket struct {
	base   url.URL // what keys are below
	region string
	key    accessKey
	client *http.Client
	now    func() time.Time
}

const (
	defaultRegion  = "us-east-1"
	defaultProfile = "default"
	// unsignedPayload stands for the digest of a body, which is not known before it was
	// sent. Its content is signed as Nix does, and read back by nobody who trusts S3.
	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// bucketParameters are those of an s3 URL that say where the bucket is and who asks; all
// others are of the binary cache in it.
func bucketParameters() []string {
	return []string{"region", "endpoint", "scheme", "profile", "addressing-style"}
}

// bucket returns the bucket of t, which is an s3 URL with the parameters that Nix knows,
// and has a credentials file.
func (t Target) bucket(client *http.Client, now func() time.Time) (*bucket, error) {
	base, q, err := t.bucketURL()
	if err != nil {
		return nil, err
	}
	key, err := t.accessKey(cmp.Or(q.Get("profile"), defaultProfile))
	if err != nil {
		return nil, err
	}
	// A redirection would need a signature of its own.
	once := &http.Client{Transport: client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &bucket{base: *base, region: regionIn(q), key: key, client: once, now: now}, nil
}

func regionIn(q url.Values) string { return cmp.Or(q.Get("region"), defaultRegion) }

// bucketURL returns what the keys of t, which is an s3 URL, are below, and its parameters.
func (t Target) bucketURL() (*url.URL, url.Values, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, nil, err
	}
	q := u.Query()
	virtual := q.Get("addressing-style") == "virtual"
	endpoint := q.Get("endpoint")
	if endpoint == "" {
		endpoint = "s3." + regionIn(q) + ".amazonaws.com"
		virtual = q.Get("addressing-style") != "path" && !strings.Contains(u.Host, ".")
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = cmp.Or(q.Get("scheme"), "https") + "://" + endpoint
	}
	base, err := url.Parse(endpoint)
	if err != nil || base.Host == "" || base.User != nil || base.Scheme != "http" && base.Scheme != "https" {
		return nil, nil, errors.New("url: must have a host, or its http or https URL, as endpoint")
	}
	if virtual {
		base.Host = u.Host + "." + base.Host
	} else {
		base = base.JoinPath(u.Host)
	}
	return base.JoinPath(u.Path), q, nil
}

// do sends a request about a key, with a body of size bytes.
func (b *bucket) do(ctx context.Context, method, key string, body io.Reader, size int64, header http.Header) (*http.Response, error) {
	u := b.base
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + key
	u.RawPath = escape(u.Path)
	if size == 0 {
		body = http.NoBody
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	for _, name := range []string{"Content-Type", "Content-Encoding", "Range"} {
		if value := header.Get(name); value != "" {
			req.Header.Set(name, value)
		}
	}
	b.sign(req)
	return b.client.Do(req)
}

// put writes a key.
func (b *bucket) put(ctx context.Context, key string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	resp, err := b.do(ctx, http.MethodPut, key, strings.NewReader(string(content)), int64(len(content)), nil)
	if err != nil {
		return err
	}
	return answered(resp)
}

// sign adds to req what says who asks. It is sent as it is then.
func (b *bucket) sign(req *http.Request) {
	now := b.now().UTC()
	stamp, day := now.Format("20060102T150405Z"), now.Format("20060102")
	signed := map[string]string{"host": req.URL.Host, "x-amz-content-sha256": unsignedPayload, "x-amz-date": stamp}
	if b.key.session != "" {
		signed["x-amz-security-token"] = b.key.session
	}
	var names []string
	for name := range signed {
		names = append(names, name)
	}
	slices.Sort(names)
	var headers strings.Builder
	for _, name := range names {
		headers.WriteString(name + ":" + signed[name] + "\n")
		if name != "host" {
			req.Header.Set(name, signed[name])
		}
	}
	canonical := strings.Join([]string{req.Method, req.URL.EscapedPath(), "", headers.String(), strings.Join(names, ";"), unsignedPayload}, "\n")
	scope := strings.Join([]string{day, b.region, "s3", "aws4_request"}, "/")
	digest := sha256.Sum256([]byte(canonical))
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hex.EncodeToString(digest[:])}, "\n")
	key := []byte("AWS4" + b.key.secret)
	for _, part := range []string{day, b.region, "s3", "aws4_request", toSign} {
		key = mac(key, part)
	}
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x",
		b.key.id, scope, strings.Join(names, ";"), key))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, text) // writing to a hash never fails
	return h.Sum(nil)
}

// escape returns a path as S3 wants it signed: all but letters, digits and a few others in
// the form %2B.
func escape(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// answered returns an error unless resp says that all is well, and closes it.
func answered(resp *http.Response) error {
	_, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxNarInfo))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		err = errors.New(resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}
