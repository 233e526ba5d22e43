package controller

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"kedge/controller/internal/hook"
	"kedge/controller/internal/source"
	"kedge/internal/noflake"
	"kedge/internal/setup"
	"kedge/internal/spec"
	"kedge/proto"
)

// A SourceConfig names the git repository that holds the flake of a channel's hosts.
type SourceConfig struct {
	URL    string `config:"url"` // as git understands it; a path is one
	Branch string `config:"branch"`
	Subdir string `config:"subdir"` // of the flake in the repository; empty is its top
	// File is what is evaluated in the place of a flake, and Attribute where its hosts are.
	File      string `config:"file"`
	Attribute string `config:"attribute"`
	// Submodules says whether those of the repository belong to it.
	Submodules bool          `config:"submodules"`
	Poll       time.Duration `config:"poll"` // how often to look without being asked
	// Hosts selects those of the flake's hosts that follow the channel.
	Hosts spec.Selector `config:"hosts"`
	// Credentials, which are read at each use; see docs/sources.md.
	SSHKeyFile     string `config:"ssh_key_file"`
	KnownHostsFile string `config:"known_hosts_file"`
	TokenFile      string `config:"token_file"`
	User           string `config:"user"` // goes with the token
	// Signatures says who must have signed the commits.
	Signatures SignaturesConfig `config:"signatures"`
	// ForcePush is what becomes of a branch that was pushed over.
	ForcePush ForcePush `config:"force_push"`
	// Webhook is how a forge tells of pushes, at /hook/ and the channel's name.
	Webhook WebhookConfig `config:"webhook"`
}

// A WebhookConfig says how webhooks prove whose they are; there are none without a
// kind.
type WebhookConfig struct {
	Kind       hook.Kind `config:"kind"`
	SecretFile string    `config:"secret_file"` // read at each webhook
	Header     string    `config:"header"`      // with the signature, for the kind hmac
}

// problems are what is wrong with c, whose key is key.
func (c WebhookConfig) problems(key string) (problems []error) {
	if c.Kind == "" {
		if c != (WebhookConfig{}) {
			problems = append(problems, fmt.Errorf("%s.kind: must be set where there is a webhook", key))
		}
		return problems
	}
	problems = append(problems, absolute(key+".secret_file", c.SecretFile))
	if (c.Kind == hook.HMAC) != (c.Header != "") {
		problems = append(problems, fmt.Errorf("%s.header: must name the header with the signature for the kind hmac, and be empty for the others", key))
	}
	return problems
}

var _ setup.Defaulter = (*SourceConfig)(nil)

// SetDefaults implements [setup.Defaulter].
func (c *SourceConfig) SetDefaults() {
	c.Branch, c.Poll, c.Hosts, c.ForcePush = "main", time.Minute, spec.All(), ForcePushAccept
}

// options returns what is said of the repository.
func (c SourceConfig) options() source.Options {
	return source.Options{URL: c.URL, Branch: c.Branch, Subdir: c.Subdir, Entry: noflake.Entry{File: c.File, Attribute: c.Attribute}, Submodules: c.Submodules, Policy: c.policy(), Credentials: source.Credentials{
		SSHKeyFile: c.SSHKeyFile, KnownHostsFile: c.KnownHostsFile, TokenFile: c.TokenFile, User: c.User,
	}}
}

// problems are what is wrong with c, whose key is key.
func (c SourceConfig) problems(key string) []error {
	problems := append(c.Webhook.problems(key+".webhook"), c.Signatures.problems(key+".signatures")...)
	problems = append(problems, between(key+".poll", c.Poll, minPoll, maxPoll))
	for _, err := range c.options().Problems() {
		problems = append(problems, fmt.Errorf("%s.%w", key, err))
	}
	return problems
}

// Retired implements [setup.Retirer].
func (Config) Retired() map[string]string {
	return map[string]string{
		"source": "must be written as a channel of sources, which can be several: sources: {main: {url: …, branch: …}}",
	}
}

// follows reports whether there is such a channel.
func (c Config) follows(channel string) bool {
	_, configured := c.Sources[channel]
	return configured
}

// sourceProblems are those of the sources: there is none where nothing is built.
func (c Config) sourceProblems() (problems []error) {
	switch {
	case !c.Keys.SignReleases && len(c.Sources) > 0:
		return []error{errors.New("sources: must be empty where the controller holds no release key (keys.sign_releases): it builds nothing then, and publishes what others signed")}
	case c.Keys.SignReleases && len(c.Sources) == 0:
		return []error{errors.New("sources: must name at least one channel, such as sources: {main: {url: /srv/git/fleet.git}}")}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		if _, err := proto.ParseHostName(name); err != nil { // the same kind of label
			problems = append(problems, fmt.Errorf("sources.%s: must be the name of a channel, 1 to 63 of a-z, 0-9 and hyphens", name))
		}
		problems = append(problems, c.Sources[name].problems("sources."+name)...)
	}
	return problems
}
