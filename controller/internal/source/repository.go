package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kedge/internal/durable"
	"kedge/internal/noflake"
	"kedge/proto"
)

// Errors of a repository. Each says what to do about it.
var (
	// ErrUnreachable: the repository does not answer, or not to us. To be tried
	// again later.
	ErrUnreachable = errors.New("the repository cannot be read")
	// ErrNoBranch: the repository answers and has no such branch. To be tried
	// again later too: somebody may be about to push it.
	ErrNoBranch = errors.New("the branch does not exist")
	// ErrRevisionGone: the branch was pushed over since it was checked. The next
	// check finds another revision.
	ErrRevisionGone = errors.New("the repository does not have the revision any more")
	// ErrNoFlake: nothing can be evaluated at this revision.
	ErrNoFlake = errors.New("there is nothing to evaluate")
	// ErrTooLarge: the files of this revision have more bytes than they may. Another
	// revision may be smaller.
	ErrTooLarge = errors.New("the revision is too large")
)

// errNoEnd: a git command took longer than it may.
var errNoEnd = errors.New("no end")

const (
	defaultTimeout             = 2 * time.Minute
	patientTimes               = 15 // as long may a fetch take that brings a whole repository, or history, or for which the usual time was too short
	dirPerm        fs.FileMode = 0o700
	// defaultMaxBytes is far more than configurations have, and less than fills a disk.
	defaultMaxBytes = 4 << 30
)

// Options says which repository is followed.
type Options struct {
	URL    string        // required; see the package's comment
	Branch string        // required
	Subdir string        // of the flake in the repository
	Entry  noflake.Entry // of a repository without a flake; zero for one with
	// Submodules says whether those of the repository belong to it.
	Submodules bool
	Dir        string // for our copy; required
	Store      Store  // takes what is evaluated; required
	Root       string // the link that keeps that from being collected; required
	// Credentials are those of files; without them git looks where it finds them.
	Credentials Credentials
	Policy      Policy
	Timeout     time.Duration // of one git command; defaults to 2 min; 15 times as long for the first fetch, and after one that took too long
	MaxBytes    int64         // that the files of a revision may have together; defaults to 4 GiB
	Log         *slog.Logger  // required
}

// Problems returns everything that is wrong with URL, Branch, Subdir, Entry and
// Credentials: an error for each, which begins with its name in lower case.
func (o Options) Problems() []error {
	l, urlErr := parseURL(o.URL)
	_, dirErr := cleanSubdir(o.Subdir)
	if o.Subdir != "" && o.Entry.File != "" {
		dirErr = errors.New("subdir: must be empty where there is file, which is a path in the repository")
	}
	problems := slices.Concat([]error{urlErr, checkBranch(o.Branch), dirErr}, o.Entry.Problems(), o.Credentials.problems(l))
	return slices.DeleteFunc(problems, func(err error) bool { return err == nil })
}

// A Repository is one branch of one git repository. It is safe for concurrent
// use.
type Repository struct {
	location   location
	branch     string
	subdir     string
	entry      noflake.Entry
	submodules bool
	creds      Credentials
	policy     Policy
	mirror     git // our copy
	modules    git // what there is of its submodules
	remote     git // commands that need no repository
	store      Store
	root       string
	timeout    time.Duration
	maxBytes   int64
	log        *slog.Logger

	mu      sync.Mutex      // held while our copy is used, and guards what follows
	fetched proto.Revision  // the last one
	reads   *objects        // reads our copy, from Fetch to Checkout; nil for nobody
	line    []string        // the last one that was looked for among borrowed ones, and its parents
	overran bool            // the last Fetch took longer than it might
	untidy  bool            // something was fetched since Tidy
	used    map[string]bool // references of the submodules of the last revision; nil before the first
}

// New returns the repository that o describes. It makes o.Dir, removes what there is
// of submodules if they are not wanted any more, and does not go to the network.
func New(o Options) (*Repository, error) {
	if o.Dir == "" || o.Store == nil || o.Root == "" || o.Log == nil {
		return nil, errors.New("repository options: Dir, Store, Root and Log are required")
	}
	if err := errors.Join(o.Problems()...); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(dir, dirPerm); err != nil {
		return nil, err
	}
	r := &Repository{branch: o.Branch, entry: o.Entry, submodules: o.Submodules, creds: o.Credentials, policy: o.Policy, timeout: o.Timeout, maxBytes: o.MaxBytes, store: o.Store, root: o.Root, log: o.Log}
	// Problems has seen to the errors of these two.
	r.location, _ = parseURL(o.URL)
	r.subdir, _ = cleanSubdir(o.Subdir)
	if r.timeout == 0 {
		r.timeout = defaultTimeout
	}
	if r.maxBytes == 0 {
		r.maxBytes = defaultMaxBytes
	}
	if r.location.local {
		env, err := trustOwner(dir)
		if err != nil {
			return nil, err
		}
		r.remote.env = env
	}
	r.mirror = git{dir: filepath.Join(dir, "mirror"), env: r.remote.env}
	r.modules = git{dir: filepath.Join(dir, "modules"), env: r.remote.env}
	gone := []string{filepath.Join(dir, "trees")} // of before the store had what is evaluated
	if !r.submodules {
		gone = append(gone, r.modules.dir)
	}
	for _, left := range gone {
		if err := os.RemoveAll(left); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// trustOwner makes git read local repositories whoever owns them: that ours may
// be read, our configuration says by naming it.
func trustOwner(dir string) (env []string, err error) {
	config := filepath.Join(dir, "gitconfig")
	if err := durable.WriteFile(config, []byte("[safe]\n\tdirectory = *\n"), 0o600); err != nil {
		return nil, err
	}
	return []string{"GIT_CONFIG_GLOBAL=" + config}, nil
}

// URL returns where the repository is. There is no password in it.
func (r *Repository) URL() string { return r.location.url }

// Branch returns the branch that is followed.
func (r *Repository) Branch() string { return r.branch }

// Check asks the repository for the newest revision of the branch. Errors wrap
// [ErrUnreachable] or [ErrNoBranch], unless ctx ended.
func (r *Repository) Check(ctx context.Context) (proto.Revision, error) {
	if err := context.Cause(ctx); err != nil {
		return proto.Revision{}, fmt.Errorf("check %s: %w", r.location.url, err)
	}
	if revision, found := r.location.branch(r.branch); found {
		return revision, nil // without starting anything
	}
	ref := "refs/heads/" + r.branch
	out, err := r.ask(ctx, r.remote, "ls-remote", "--", r.location.url, ref)
	if err != nil {
		return proto.Revision{}, fmt.Errorf("check %s: %w", r.location.url, err)
	}
	for line := range strings.Lines(out) {
		// ls-remote also prints refs that only end like this one.
		name, found := strings.CutSuffix(strings.TrimSuffix(line, "\n"), "\t"+ref)
		if !found {
			continue
		}
		revision, err := proto.ParseRevision(name)
		if err != nil {
			return proto.Revision{}, fmt.Errorf("check %s: %w", r.location.url, err)
		}
		return revision, nil
	}
	return proto.Revision{}, fmt.Errorf("check %s: %w: %s", r.location.url, ErrNoBranch, r.branch)
}

// ask runs a git command that talks to the repository. Errors wrap
// [ErrUnreachable], unless ctx ended.
func (r *Repository) ask(ctx context.Context, g git, args ...string) (string, error) {
	return r.askAt(ctx, r.location, r.creds, theSource, g, args...)
}

// askAt is ask for a repository that may be somewhere else.
func (r *Repository) askAt(ctx context.Context, at location, c Credentials, whose party, g git, args ...string) (string, error) {
	env, err := c.environ(at)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	g.env = slices.Concat(g.env, env)
	out, err := r.run(ctx, g, args...)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w%s", ErrUnreachable, err, whose.advice(err.Error()))
	}
	return out, err
}

// output is run for a command that prints one line.
func (r *Repository) output(ctx context.Context, g git, args ...string) (string, error) {
	out, err := r.run(ctx, g, args...)
	return strings.TrimSpace(out), err
}

// run runs git for at most the timeout, or for longer if g is patient.
func (r *Repository) run(ctx context.Context, g git, args ...string) (string, error) {
	timeout := r.timeout
	if g.patient {
		timeout *= patientTimes
	}
	inTime, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w within %s", errNoEnd, timeout))
	defer cancel()
	start := time.Now()
	out, err := g.run(inTime, args...)
	r.log.DebugContext(ctx, "git command ended", "command", args[0], "seconds", time.Since(start).Seconds(), "timeout", timeout, "ok", err == nil)
	return out, err
}
