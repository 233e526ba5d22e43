package closure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"kedge/internal/narinfo"
	"kedge/proto"
)

const (
	// infoLimit bounds a narinfo in bytes; one with a thousand references has 60,000.
	infoLimit = 1 << 20
	// fileAtOnce is up to how many bytes a NAR's file is read together with what
	// the cache says of it, so that many small ones come side by side.
	fileAtOnce = 256 << 10
	// narAtOnce is up to how many bytes the NAR of such a file is unpacked at once, which
	// needs no window of 2 MiB beside it.
	narAtOnce = 1 << 20
	// zstdWindow bounds what a file may have us remember; Nix compresses with 8 MiB at most.
	zstdWindow = 32 << 20
)

// Bounds of what a cache may take to begin an answer.
const (
	connectTimeout = 5 * time.Second
	answerTimeout  = 10 * time.Second
	idleTimeout    = 5 * time.Second
	// silentTimeout is for the rest of it, between one byte and the next.
	silentTimeout = 10 * time.Second
)

var errSilent = fmt.Errorf("nothing more came for %s", silentTimeout)

// get returns what is at a URL, up to limit bytes; more are an error.
func get(ctx context.Context, client *http.Client, from string, limit int64) ([]byte, error) {
	body, err := open(ctx, client, from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // what was read counts
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s: it is longer than %d bytes", from, limit)
	}
	return text, err
}

func open(ctx context.Context, client *http.Client, from string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	body := newImpatient(ctx, cancel, resp.Body)
	if resp.StatusCode != http.StatusOK {
		_ = body.Close() // nothing is read of it
		return nil, fmt.Errorf("%s: %s", from, resp.Status)
	}
	return body, nil
}

// impatient is the body of an answer that ends with errSilent when nothing comes for
// too long while somebody waits for it.
type impatient struct {
	io.ReadCloser
	ctx    context.Context //nolint:containedctx // it is that of the body
	cancel context.CancelCauseFunc
	alarm  *time.Timer
}

// newImpatient returns body, which ends with ctx.
func newImpatient(ctx context.Context, cancel context.CancelCauseFunc, body io.ReadCloser) impatient {
	alarm := time.AfterFunc(silentTimeout, func() { cancel(errSilent) })
	alarm.Stop()
	return impatient{body, ctx, cancel, alarm}
}

// Read implements [io.Reader].
func (i impatient) Read(b []byte) (int, error) {
	i.alarm.Reset(silentTimeout)
	defer i.alarm.Stop()
	n, err := i.ReadCloser.Read(b)
	if err != nil && errors.Is(context.Cause(i.ctx), errSilent) {
		err = errSilent
	}
	return n, err
}

// Close implements [io.Closer].
func (i impatient) Close() error {
	i.alarm.Stop()
	defer i.cancel(nil)
	return i.ReadCloser.Close()
}

// A download reads what a cache has.
type download struct {
	cache  string // URL
	client *http.Client
}

// A missingPath is what a cache says of a path, signed, and its file if it is small.
type missingPath struct {
	info narinfo.Info
	file []byte // nil if it is not read yet
}

// look reads what the cache says of a path. Nothing is believed, and nothing
// more downloaded, unless one of keys has signed it.
func (d download) look(ctx context.Context, p proto.StorePath, keys []proto.PublicKey) (missingPath, error) {
	text, err := get(ctx, d.client, d.url(p.Hash()+".narinfo"), infoLimit)
	if err != nil {
		return missingPath{}, err
	}
	info, err := narinfo.Parse(text)
	if err != nil {
		return missingPath{}, fmt.Errorf("%s: %w", p, err)
	}
	switch {
	case info.Path != p:
		return missingPath{}, fmt.Errorf("%s: the cache tells about %s", p, info.Path)
	case !info.SignedBy(keys...):
		return missingPath{}, fmt.Errorf("%s: no key that is trusted has signed it", p)
	case info.Compression != "zstd" && info.Compression != "none":
		return missingPath{}, fmt.Errorf("%s: compressed by %q", p, info.Compression)
	}
	missing := missingPath{info: info}
	if info.FileSize >= 0 && info.FileSize <= fileAtOnce {
		missing.file, err = get(ctx, d.client, d.archive(info), info.FileSize)
	}
	return missing, err
}

// open returns the archive of a path, whatever bytes the cache has for it.
func (d download) open(ctx context.Context, p missingPath) (_ io.ReadCloser, err error) {
	file := io.NopCloser(bytes.NewReader(p.file))
	if p.file == nil {
		if file, err = open(ctx, d.client, d.archive(p.info)); err != nil {
			return nil, err
		}
	}
	if p.info.Compression == "none" {
		return file, nil
	}
	if p.file != nil && p.info.Size <= narAtOnce {
		return unpack(p)
	}
	archive, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return unpacked{archive.IOReadCloser(), file}, nil
}

// unpack unpacks a file that was read, to no more bytes than it is said to have.
func unpack(p missingPath) (io.ReadCloser, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	nar, err := d.DecodeAll(p.file, make([]byte, 0, p.info.Size))
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", p.info.Path, err)
	}
	return io.NopCloser(bytes.NewReader(nar)), nil
}

// archive returns where the archive of a path is.
func (d download) archive(info narinfo.Info) string {
	if info.Elsewhere() {
		return info.File
	}
	return d.url(info.File)
}

func (d download) url(name string) string { return strings.TrimSuffix(d.cache, "/") + "/" + name }

// unpacked is an archive that is read from a compressed file.
type unpacked struct {
	io.ReadCloser
	file io.Closer
}

// Close closes both.
func (u unpacked) Close() error { return errors.Join(u.ReadCloser.Close(), u.file.Close()) }
