package closure

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"kedge/internal/narinfo"
)

// elsewherePrefix is where a relay has what is in other caches, as the cache told.
const elsewherePrefix = "/elsewhere/"

// elsewhere are the archives in other caches that the cache of a relay has told of.
// Nix is told that they are in the relay, as it would not find the way to them. Safe
// for concurrent use.
type elsewhere struct {
	mu   sync.Mutex // guards told
	told map[string]*url.URL
}

// find returns where what is asked for is; nil if it is in the cache itself.
func (e *elsewhere) find(path string) *url.URL {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.told[path]
}

// translate changes an answer that tells of an archive in another cache. Where that
// archive is nobody has signed: to follow it is no more than to follow a redirect.
func (e *elsewhere) translate(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK || resp.Request.Method != http.MethodGet || !strings.HasSuffix(resp.Request.URL.Path, ".narinfo") {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, infoLimit))
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if info, err := narinfo.Parse(text); err == nil && info.Elsewhere() {
		if at, err := url.Parse(info.File); err == nil {
			name := elsewherePrefix + info.Path.Hash()
			e.mu.Lock()
			e.told[name] = at
			e.mu.Unlock()
			text = bytes.Replace(text, []byte("URL: "+info.File), []byte("URL: "+strings.TrimPrefix(name, "/")), 1)
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	resp.ContentLength = int64(len(text))
	resp.Header.Del("Content-Length")
	return nil
}
