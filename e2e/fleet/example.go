package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"kedge/e2e/toplevel"
	"kedge/proto"
)

// exampleDir is the example in the project.
const exampleDir = "examples/fleet"

// exampleName is the build host's in the example.
const exampleName = "build.example.org"

// installExample installs the system that examples/fleet has for the build host,
// which is off, from the example in [Worktree].
func (b *buildHost) installExample(ctx context.Context, parts Parts) error {
	if err := initRepositories(ctx, b.Machine); err != nil {
		return err
	}
	if err := addEvaluator(ctx, b.Machine); err != nil { // the stand-in for NixOS makes no accounts
		return err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	lock, err := b.lockExample(ctx, parts, root)
	if err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(b.Root(), Worktree), os.DirFS(filepath.Join(root, exampleDir))); err != nil {
		return fmt.Errorf("copy the example: %w", err)
	}
	if err := b.WriteFile(Worktree+"/flake.lock", lock, 0o644); err != nil {
		return err
	}
	if _, err := b.commitAll(ctx, b.RunOffline, "the example"); err != nil {
		return err
	}
	system, err := buildCommitted(ctx, b.RunOffline, b.Name())
	if err != nil {
		return err
	}
	if err := toplevel.Register(ctx, b, b.tools, system.String()); err != nil {
		return err
	}
	return b.nameExample(b.WriteFile)
}

// nameExample tells a machine, whose files write writes, where the build host is, as
// the DNS would.
func (b *buildHost) nameExample(write func(name string, content []byte, perm os.FileMode) error) error {
	return write("/etc/hosts", fmt.Appendf(nil, "127.0.0.1 localhost\n%s %s\n", b.Addr(), exampleName), 0o644)
}

// enrolExample makes the credentials of the example's hosts, and puts what was said
// with them into its agent.nix, as the README tells everybody to.
func (f *Fleet) enrolExample(ctx context.Context) error {
	const file = Worktree + "/agent.nix"
	text, err := f.build.ReadFile(file)
	if err != nil {
		return err
	}
	filled := string(text)
	for _, h := range f.Hosts() {
		var reply proto.HostAddReply
		if h.creds, reply, err = f.build.enrol(ctx, h.Name()); err != nil {
			return err
		}
		if filled, err = trusting(filled, reply); err != nil {
			return err
		}
	}
	if g := f.options.Grace; g != 0 {
		filled = strings.Replace(filled, "enable = true;\n", fmt.Sprintf("enable = true;\n    settings.probation.grace = %q;\n", g), 1)
	}
	if err := f.build.WriteFile(file, []byte(filled), 0o644); err != nil {
		return err
	}
	_, err = f.build.commitAll(ctx, f.build.Run, "whom hosts trust")
	return err
}

// trusting puts what `kedge host add` said into the text of agent.nix: each key in
// the place of the one with its name, and the pin in that of the pin.
func trusting(text string, reply proto.HostAddReply) (string, error) {
	values := slices.Clone(reply.CacheKeys)
	for _, k := range slices.Concat(reply.ReleaseKeys, reply.ControllerKeys) {
		values = append(values, k.String())
	}
	for _, p := range reply.Pins {
		values = append(values, p.String())
	}
	for _, v := range values {
		name, _, _ := strings.Cut(v, ":")
		there := regexp.MustCompile(`"` + regexp.QuoteMeta(name) + `:[^"]*"`)
		if !there.MatchString(text) {
			return text, fmt.Errorf("the example's agent.nix has no place for %s", v)
		}
		text = there.ReplaceAllLiteralString(text, `"`+v+`"`)
	}
	for _, server := range reply.Servers {
		if !strings.Contains(text, `"`+server+`"`) {
			return text, fmt.Errorf("the example's agent.nix does not name %s", server)
		}
	}
	return text, nil
}

// installExample installs the system that the example has for the host, as whoever
// installs over the network does, and switches the machine on.
func (h *Host) installExample(ctx context.Context) error {
	b := h.fleet.build
	system, err := h.fleet.BuildCommitted(ctx, h.Name())
	if err != nil {
		return err
	}
	closure, err := b.Run(ctx, "sh", "-c", `nix-store --export $(nix-store --query --requisites "$0")`, system.String())
	if err != nil {
		return err
	}
	if _, err := h.RunOfflineInput(ctx, strings.NewReader(closure), "nix-store", "--import"); err != nil {
		return err
	}
	if err := toplevel.Register(ctx, h.Machine, b.tools, system.String()); err != nil {
		return err
	}
	if err := errors.Join(b.nameExample(h.WriteFile), h.WriteFile(credentialsFile, h.creds, 0o600)); err != nil {
		return err
	}
	return h.Start(ctx)
}

// Answer is what the service on a host of the example answers in a revision; 0 is
// the example as it is.
func Answer(host string, revision int) string {
	switch {
	case host == "db1":
		return fmt.Sprintf("max_connections = %d", 100+revision)
	case revision == 0:
		return "Hello from " + host
	}
	return fmt.Sprintf("Hello from %s, revision %d", host, revision)
}

// Revise makes the services on all hosts of the example answer as in a revision,
// which comes after another.
func Revise(after, revision int) []Change {
	var changes []Change
	for _, host := range []string{"web1", "web2", "db1"} {
		changes = append(changes, Change{File: "hosts/" + host + ".nix", Before: Answer(host, after), After: Answer(host, revision)})
	}
	return changes
}

// answersAt is where the service on the host is asked.
func (h *Host) answersAt() string {
	switch {
	case !h.fleet.options.Example:
		return fmt.Sprintf("http://127.0.0.1:%d/", toplevel.DefaultAppPort)
	case h.Name() == "db1":
		return "http://127.0.0.1:5432/"
	}
	return "http://127.0.0.1/"
}

// Promote ends the soak that the rollout is in, or will be in soon.
func (f *Fleet) Promote(ctx context.Context) error {
	tick := time.NewTicker(againInterval)
	defer tick.Stop()
	for {
		_, err := f.Kedge(ctx, "rollout", "promote")
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}
