package controller

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"kedge/proto"
)

// Bounds of how long credentials are valid. They are renewed once half of that is
// over, and a host that was off for longer than the rest has to ask over HTTP.
const minCredentials, maxCredentials = time.Hour, 5 * 365 * 24 * time.Hour

// An EnrollConfig says how hosts get credentials.
type EnrollConfig struct {
	Lifetime time.Duration `config:"lifetime"` // of a host's credentials, which renew themselves
	// URLs are those under which hosts reach the enrolment, as https://…/enroll. By
	// default they are made of those of the embedded cache, or else of NATS.
	URLs []string `config:"urls"`
}

func defaultEnroll() EnrollConfig { return EnrollConfig{Lifetime: 30 * 24 * time.Hour} }

// problems reports everything that is wrong with c.
func (c EnrollConfig) problems() []error {
	problems := []error{between("enroll.lifetime", c.Lifetime, minCredentials, maxCredentials)}
	for i, text := range c.URLs {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != proto.EnrollPath || u.User != nil || u.RawQuery != "" {
			problems = append(problems, fmt.Errorf(`enroll.urls[%d]: must be such as "https://build.example%s"`, i, proto.EnrollPath))
		}
	}
	return problems
}

// enrollURLs returns where hosts enrol.
func (c Config) enrollURLs() []string {
	if len(c.Enroll.URLs) > 0 {
		return c.Enroll.URLs
	}
	return c.urlsOf(proto.EnrollPath)
}

// apiURLs returns where the API is served over HTTP.
func (c Config) apiURLs() []string { return c.urlsOf(strings.TrimSuffix(proto.APIPath, "/")) }

// urlsOf returns where something is that is served beside the cache, or beside NATS where
// no cache is served.
func (c Config) urlsOf(path string) []string {
	urls := []string{} // JSON knows a list of nothing from nothing
	if !c.Cache.Embedded {
		for _, server := range c.NATS.Advertise {
			if base, ours := strings.CutSuffix(strings.TrimSuffix(server, "/"), natsPath); ours && strings.HasPrefix(base, "ws") {
				urls = append(urls, "http"+strings.TrimPrefix(base, "ws")+path)
			}
		}
		return urls
	}
	for _, cache := range c.Cache.own() {
		if base, ours := strings.CutSuffix(strings.TrimSuffix(cache, "/"), "/cache"); ours {
			urls = append(urls, base+path)
		}
	}
	return urls
}
