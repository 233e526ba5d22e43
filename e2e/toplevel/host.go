package toplevel

// A Host is the configuration of one host, as far as tests care. The zero value is a system without
// an agent and without a service.
type Host struct {
	Agent       string `json:"agent,omitempty"`       // store path with bin/kedge-agent; "": a system without an agent
	AgentConfig string `json:"agentConfig,omitempty"` // text of /etc/kedge/agent.yaml
	App         *App   `json:"app,omitempty"`

	Units    map[string]Unit   `json:"units,omitempty"`    // by file name, "web.service"
	Etc      map[string]string `json:"etc,omitempty"`      // text by path below /etc
	Packages []string          `json:"packages,omitempty"` // store paths whose bin/* are in sw/bin

	Specialisation map[string]Host `json:"specialisation,omitempty"` // by name; whole systems, which have none themselves

	Activation      map[string]string `json:"activation,omitempty"`      // bash by name, run when /etc is in place
	PreSwitchChecks map[string]string `json:"preSwitchChecks,omitempty"` // bash by name
	Inhibitors      map[string]string `json:"inhibitors,omitempty"`      // switch-inhibitors
	Switch          string            `json:"switch,omitempty"`          // bash that bin/switch-to-configuration runs first; $real is the program

	InitInterface string `json:"initInterface,omitempty"` // default "systemd 2"; another one cannot go live: exit 100
	KernelVersion string `json:"kernelVersion,omitempty"` // default "6.12.1"; another one needs a reboot
	Kernel        string `json:"kernel,omitempty"`        // store path with bzImage and initrd, for a real computer; KernelVersion is then ignored
	KernelParams  string `json:"kernelParams,omitempty"`  // default "loglevel=4"
	SystemConf    string `json:"systemConf,omitempty"`    // lines of [Manager]; another one re-executes systemd

	EvalError  string `json:"evalError,omitempty"`  // the configuration throws this
	BuildError string `json:"buildError,omitempty"` // the build fails and prints this
	BuildWaits string `json:"buildWaits,omitempty"` // the build reads this FIFO first, if there is one
	NotASystem bool   `json:"notASystem,omitempty"` // the toplevel builds and is no system at all
}

// An App is the service app.service, which answers HTTP requests with a text. It is active only while
// it listens.
type App struct {
	Text string `json:"text"`
	Port int    `json:"port,omitempty"` // default DefaultAppPort
}

// DefaultAppPort is where an App listens.
const DefaultAppPort = 8090
