package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kedge/e2e/hosts"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// Worktree is where the operator works on the build host: the fleet's flake, in
// git.
const Worktree = "/root/fleet"

// Repository is what the controller watches, on the build host.
const Repository = "/srv/git/fleet.git"

// A runner runs a program on a machine, in one way or another.
type runner func(ctx context.Context, argv ...string) (stdout string, err error)

// A buildHost is the machine that the controller runs on.
type buildHost struct {
	*hosts.Machine
	layers
}

func (f *Fleet) upBuildHost(ctx context.Context) (*buildHost, error) {
	l := f.options.Parts.layers
	o := hosts.Options{Name: "build", Public: true, Layers: []string{l.build, l.store}}
	if f.options.Example {
		o.Layers = []string{l.store}
	}
	m, err := f.network.Machine(ctx, o)
	if err != nil {
		return nil, err
	}
	b := &buildHost{Machine: m, layers: l}
	f.world.Tools = b.tools
	if f.options.Example {
		err = b.installExample(ctx, f.options.Parts)
	} else {
		err = b.configure(f.options.Plain)
	}
	if err != nil {
		return nil, err
	}
	return b, b.start(ctx)
}

// prefix is where the build host has its programs.
const prefix = "/usr/local"

// configure installs the services as the NixOS module would, whose programs are in the
// build host's layer.
func (b *buildHost) configure(plain bool) error {
	if err := b.WriteFile("/etc/kedge/controller.yaml", []byte(b.config(plain)), 0o644); err != nil {
		return err
	}
	for unit, service := range b.services {
		if err := b.WriteFile("/etc/systemd/system/"+unit, []byte(service.Text), 0o644); err != nil {
			return err
		}
		for _, target := range service.WantedBy {
			wants := filepath.Join(b.Root(), "/etc/systemd/system", target+".wants")
			if err := os.MkdirAll(wants, 0o755); err != nil {
				return fmt.Errorf("enable %s: %w", unit, err)
			}
			if err := os.Symlink("../"+unit, filepath.Join(wants, unit)); err != nil {
				return fmt.Errorf("enable %s: %w", unit, err)
			}
		}
	}
	return nil
}

func (b *buildHost) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if err := b.PowerOn(ctx); err != nil {
		return err
	}
	if err := b.AwaitBoot(ctx); err != nil {
		return err
	}
	if _, err := b.Run(ctx, "systemctl", "is-active", ControllerUnit); err != nil {
		log, _ := b.Run(ctx, "journalctl", "--no-pager", "-u", ControllerUnit, "-n", "30") // for the message only
		return fmt.Errorf("start the controller: %w\n%s", err, log)
	}
	return nil
}

// config looks at the repository so seldom that a push is found because the
// controller watches for it, or not at all. Its certificate is its own, which the
// hosts pin; a plain fleet has no TLS, and a cache that is open to all.
func (b *buildHost) config(plain bool) string {
	server, cache, tls := "tls://%s:4222", "https://%s:8080/cache/", "on"
	if plain {
		server, cache, tls = "nats://%s:4222", "http://%s:8080/cache/", "off"
	}
	return fmt.Sprintf(`sources:
  main:
    url: %s
    branch: main
    poll: 24h
nats:
  listen: 0.0.0.0:4222
  advertise: [%q]
http:
  listen: 0.0.0.0:8080
  tls: %q
cache:
  urls: [%q]
  public: %t
build:
  remote: false
  eval_user: %s
`, Repository, fmt.Sprintf(server, b.Addr()), tls, fmt.Sprintf(cache, b.Addr()), plain, evaluator)
}

// commit writes the flake and commits it.
func (b *buildHost) commit(ctx context.Context, w toplevel.Fleet, message string) (proto.Revision, error) {
	if err := w.Write(filepath.Join(b.Root(), Worktree)); err != nil {
		return proto.Revision{}, err
	}
	return b.commitAll(ctx, b.Run, message)
}

// commitAll commits what is in [Worktree], with git as run runs it.
func (b *buildHost) commitAll(ctx context.Context, run runner, message string) (proto.Revision, error) {
	var out string
	for _, argv := range [][]string{
		{"git", "-C", Worktree, "add", "--all"},
		{"git", "-C", Worktree, "commit", "--quiet", "--allow-empty", "-m", message},
		{"git", "-C", Worktree, "rev-parse", "HEAD"},
	} {
		var err error
		if out, err = run(ctx, argv...); err != nil {
			return proto.Revision{}, fmt.Errorf("commit %q: %w", message, err)
		}
	}
	return proto.ParseRevision(strings.TrimSpace(out))
}

// push pushes what was committed. Nothing else tells the controller.
func (b *buildHost) push(ctx context.Context) error {
	if _, err := b.Run(ctx, "git", "-C", Worktree, "push", "--quiet", "--force", "origin", "main"); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	return nil
}

// enrol makes a host's credentials.
func (b *buildHost) enrol(ctx context.Context, name string) (creds []byte, reply proto.HostAddReply, err error) {
	file := "/root/" + name + ".creds"
	out, err := b.Run(ctx, "kedge", "host", "add", name, "--out", file, "--json")
	if err != nil {
		return nil, reply, err
	}
	if err := json.Unmarshal([]byte(out), &reply); err != nil {
		return nil, reply, fmt.Errorf("read what `kedge host add` said: %w", err)
	}
	creds, err = b.ReadFile(file)
	return creds, reply, err
}
