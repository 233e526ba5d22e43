package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"kedge/e2e/hosts"
	"kedge/e2e/toplevel"
	"kedge/e2e/vm"
	"kedge/proto"
)

// A Host is a host of the fleet with its agent.
type Host struct {
	*hosts.Machine // off for ever if the host is on a computer
	fleet          *Fleet
	system         toplevel.Host // as it was installed
	computer       *vm.Computer  // nil unless the host is on one
	creds          []byte        // of a host of the example
}

// credentialsFile is where the harness puts what a secrets tool would.
const credentialsFile = "/var/lib/kedge/host.creds"

// install does what the operator does once: install a system with the agent,
// place the credentials, and switch the machine on.
func (h *Host) install(ctx context.Context) error {
	if h.fleet.options.Example {
		return h.installExample(ctx)
	}
	b := h.fleet.build
	creds, reply, err := b.enrol(ctx, h.Name())
	if err != nil {
		return err
	}
	h.system = h.firstSystem(reply)
	if h.onComputer() {
		if err := h.prepareComputer(ctx); err != nil {
			return err
		}
	}
	if err := h.installSystem(ctx, creds); err != nil {
		return err
	}
	if h.onComputer() {
		return h.startComputer(ctx)
	}
	return h.Start(ctx)
}

// firstSystem is revision 0 of a host that reply enrols.
func (h *Host) firstSystem(reply proto.HostAddReply) toplevel.Host {
	return toplevel.Host{
		Agent:       h.fleet.build.agent,
		AgentConfig: h.agentConfig(reply),
		App:         &toplevel.App{Text: "revision 0"},
	}
}

// installSystem installs the host's system and its credentials on its disk, which
// has the system's store paths.
func (h *Host) installSystem(ctx context.Context, creds []byte) error {
	world := toplevel.Fleet{Tools: h.fleet.build.tools, Hosts: map[string]toplevel.Host{h.Name(): h.system}}
	if _, err := toplevel.Install(ctx, h.Machine, world, h.Name()); err != nil {
		return err
	}
	return h.WriteFile(credentialsFile, creds, 0o600)
}

// Start switches the power on and waits for the boot; not of a computer.
func (h *Host) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if err := h.PowerOn(ctx); err != nil {
		return err
	}
	return h.AwaitBoot(ctx)
}

func (h *Host) agentConfig(reply proto.HostAddReply) string {
	var b strings.Builder
	list := func(key string, values any) {
		text, err := json.Marshal(values) // JSON is YAML
		if err != nil {
			text = fmt.Appendf(nil, "%q", err)
		}
		fmt.Fprintf(&b, "%s: %s\n", key, text)
	}
	fmt.Fprintf(&b, "host: %s\nnats:\n", h.Name())
	list("  servers", reply.Servers)
	fmt.Fprintf(&b, "  credentials_file: %s\n  max_reconnect_delay: 2s\n", credentialsFile)
	if len(reply.Pins) > 0 {
		list("  tls:\n    pins", reply.Pins)
	}
	b.WriteString("trust:\n")
	list("  release_keys", reply.ReleaseKeys)
	list("  release_threshold", max(reply.ReleaseThreshold, 1))
	list("  controller_keys", reply.ControllerKeys)
	list("  cache_keys", reply.CacheKeys)
	list("caches", reply.Caches)
	fmt.Fprintf(&b, "probation:\n  deadline: %s\n", h.fleet.options.Deadline)
	if g := h.fleet.options.Grace; g != 0 {
		fmt.Fprintf(&b, "  grace: %s\n", g)
	}
	if !h.fleet.options.Terse {
		b.WriteString("log:\n  level: debug\n")
	}
	b.WriteString(h.fleet.options.Config)
	return b.String()
}

// Facts is what the host itself shows.
type Facts struct {
	Current     string // /run/current-system
	Booted      string // /run/booted-system
	Profile     string // what the system profile names
	Generation  string // the link that the system profile is, such as system-2-link
	BootDefault string // what the boot loader would boot
	App         string // what the running app answers
}

// answerTimeout bounds what the app takes to answer on a busy machine. Where nothing
// listens that is known at once.
const answerTimeout = 20 * time.Second

// Facts reads them.
func (h *Host) Facts(ctx context.Context) (Facts, error) {
	var f Facts
	var err error
	read := func(to *string, path string) {
		if err == nil {
			*to, err = h.readlink(ctx, path)
		}
	}
	read(&f.Current, "/run/current-system")
	read(&f.Booted, "/run/booted-system")
	read(&f.Generation, "/nix/var/nix/profiles/system")
	if err == nil {
		read(&f.Profile, "/nix/var/nix/profiles/"+f.Generation)
	}
	if err != nil {
		return f, err
	}
	b, err := h.readFile(ctx, "/boot/loader/default")
	if err != nil {
		return f, err
	}
	f.BootDefault = strings.TrimSpace(string(b))
	ctx, cancel := context.WithTimeout(ctx, answerTimeout+5*time.Second)
	defer cancel()
	out, err := h.Run(ctx, "curl", "--silent", "--max-time", fmt.Sprint(int(answerTimeout.Seconds())), h.answersAt())
	if err != nil {
		out = "" // no answer is a fact, too
	}
	f.App = strings.TrimSpace(out)
	return f, nil
}

// One reports whether everything on the host names the same system.
func (f Facts) One() bool { return f.Current == f.Profile && f.Current == f.BootDefault }
