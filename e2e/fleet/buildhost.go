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
	agent, tools string           // store paths
	service      toplevel.Service // the controller's
}

func (f *Fleet) upBuildHost(ctx context.Context) (*buildHost, error) {
	m, err := f.network.Machine(ctx, hosts.Options{Name: "build", Public: true})
	if err != nil {
		return nil, err
	}
	b := &buildHost{Machine: m}
	if b.agent, err = toplevel.AddToStore(ctx, m, f.options.Parts.Agent); err != nil {
		return nil, err
	}
	if b.tools, err = toplevel.AddToStore(ctx, m, f.options.Parts.Tools); err != nil {
		return nil, err
	}
	f.world.Tools = b.tools
	for _, argv := range [][]string{
		{"systemd-machine-id-setup"}, // a first boot would apply presets, and disable what is enabled here
		{"git", "init", "--quiet", "--bare", "--initial-branch=main", Repository},
		{"git", "init", "--quiet", "--initial-branch=main", Worktree},
		{"git", "-C", Worktree, "remote", "add", "origin", Repository},
		{"git", "config", "--system", "user.name", "Operator"},
		{"git", "config", "--system", "user.email", "operator@example.org"},
	} {
		if _, err := m.RunOffline(ctx, argv...); err != nil {
			return nil, err
		}
	}
	if f.options.Example {
		err = b.installExample(ctx, f.options.Parts)
	} else {
		err = b.installController(ctx, f.options.Parts.Bin, f.options.Plain)
	}
	if err != nil {
		return nil, err
	}
	return b, b.start(ctx)
}

// prefix is where the build host has its programs.
const prefix = "/usr/local"

// installController installs the programs of the folder bin, and the service as
// the NixOS module would.
func (b *buildHost) installController(ctx context.Context, bin string, plain bool) error {
	for _, name := range []string{"kedge", "kedge-controller"} {
		content, err := os.ReadFile(filepath.Join(bin, name))
		if err != nil {
			return fmt.Errorf("install %s: %w", name, err)
		}
		if err := b.WriteFile(prefix+"/bin/"+name, content, 0o755); err != nil {
			return err
		}
	}
	var err error
	if b.service, err = toplevel.ControllerService(ctx, b, prefix); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"/etc/kedge/controller.yaml":            b.config(plain),
		"/etc/systemd/system/" + ControllerUnit: b.service.Text,
	} {
		if err := b.WriteFile(name, []byte(content), 0o644); err != nil {
			return err
		}
	}
	for _, target := range b.service.WantedBy {
		if _, err := b.RunOffline(ctx, "systemctl", "add-wants", "--quiet", target, ControllerUnit); err != nil {
			return err
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
`, Repository, fmt.Sprintf(server, b.Addr()), tls, fmt.Sprintf(cache, b.Addr()), plain)
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
