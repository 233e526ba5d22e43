package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// SignatureHeader has "sha256=" and the HMAC of the body in hexadecimal, under the
// destination's secret.
const SignatureHeader = "Kedge-Signature"

// sendTimeout bounds one attempt.
const sendTimeout = 15 * time.Second

// A Destination is where notices go. Files are read at each attempt; what is in them, and
// a URL, is shown to nobody.
type Destination struct {
	Name       string
	URL        string // or URLFile has it
	URLFile    string
	Format     Format
	SecretFile string  // of the signature, for JSON; empty for none
	TokenFile  string  // sent as a bearer's; empty for none
	Events     []Event // empty for all
}

// NewClient returns a client that follows no redirect: what goes to one place is for no
// other.
func NewClient() *http.Client {
	return &http.Client{
		Timeout:       sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// CheckURL says what is wrong with the URL of a destination, without showing it.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("must be a URL such as https://chat.example.org/hooks/…")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if local := u.Hostname() == "localhost" || err == nil && ip.IsLoopback(); u.Scheme == "http" && !local {
		return errors.New("must begin with https://, but for this machine: what is sent is not for others")
	}
	return nil
}

// Send sends m once.
func (d Destination) Send(ctx context.Context, c *http.Client, m Message) error {
	body, header, err := m.write(d.Format)
	if err != nil {
		return err
	}
	target := d.URL
	if d.URLFile != "" {
		if target, err = secret(d.URLFile); err != nil {
			return err
		}
		if err := CheckURL(target); err != nil {
			return fmt.Errorf("%s: the URL in it %w", d.URLFile, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL cannot be used") // err shows it
	}
	req.Header = header
	req.Header.Set("User-Agent", "kedge-controller")
	if d.TokenFile != "" {
		token, err := secret(d.TokenFile)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if d.SecretFile != "" {
		key, err := secret(d.SecretFile)
		if err != nil {
			return err
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		req.Header.Set(SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	resp, err := c.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL
		}
		return fmt.Errorf("send: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing of it is wanted
	// So that the connection can be used again; what is longer is not worth that.
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("send: the answer is %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}

// secret reads what is in a file.
func secret(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return "", fmt.Errorf("read a secret: %s must have one line", file)
	}
	return s, nil
}
