//go:build e2e

package nixosmodule_test

import (
	"strings"
	"testing"
)

// testRefusals shows what is no system at all.
func testRefusals(t *testing.T, e evaluator) {
	for _, tt := range []struct {
		name    string
		service string
		config  options
		want    string // in the only refusal
	}{
		{"agent without Nix", "agent", agentHost(nil, options{"nix": options{"enable": false}}), "set nix.enable = true"},
		{
			"agent without switching", "agent",
			agentHost(nil, options{"system": options{"switch": options{"enable": false}}}),
			"set system.switch.enable = true",
		},
		{
			"agent beside another that switches", "agent",
			agentHost(nil, options{"system": options{"autoUpgrade": options{"enable": true}}}),
			"set system.autoUpgrade.enable = false",
		},
		{
			"checks that look at nothing, and at two things", "agent",
			agentHost(options{"checks": options{
				"good": options{"unit": "a.service"}, "none": options{}, "two": options{"unit": "a.service", "tcp": "localhost:25"},
			}}, nil),
			"services.kedge-agent.checks.none, services.kedge-agent.checks.two: set exactly one",
		},
		{
			"a port to open, and none to listen on", "agent",
			agentHost(options{"openFirewall": true, "settings": options{"metrics": options{"listen": ""}}}, nil), "settings.metrics.listen names no port that other machines reach",
		},
		{
			"a port to open, and this machine alone to ask", "agent", agentHost(options{"openFirewall": true}, nil), "settings.metrics.listen names no port that other machines reach",
		},
		{
			"a port to open, and its name alone", "agent",
			agentHost(options{"openFirewall": true, "settings": options{"metrics": options{"listen": "[::]:https"}}}, nil), "settings.metrics.listen names no port",
		},
		{
			"a port to open, and a socket to listen at", "agent",
			agentHost(options{"openFirewall": true, "settings": options{"metrics": options{"listen": "unix:/run/kedge/metrics.sock"}}}, nil), "settings.metrics.listen names no port",
		},
		{
			"a controller's ports to open, and this machine alone to ask", "controller",
			controllerHost(options{"openFirewall": true, "settings": options{"nats": options{"listen": ""}, "http": options{"listen": "[::1]:443"}}}, nil),
			"neither settings.http.listen nor settings.nats.listen names a port that other machines reach",
		},
		{
			"nowhere for hosts to go", "controller", controllerHost(options{"advertise": []string{}}, nil), "advertise names no URL under which hosts reach NATS",
		},
		{
			"a way past the proxy", "controller", controllerHost(options{"openFirewall": true, "settings": options{"http": options{"tls": "off"}}}, nil),
			"everybody could get past the proxy",
		},
		{
			"an evaluator that nix-daemon does not know", "controller",
			controllerHost(nil, options{"nix": options{"settings": options{"allowed-users": []string{"root"}}}}), "add it to nix.settings.allowed-users",
		},
		{
			"an evaluator that nix-daemon trusts", "controller",
			controllerHost(options{"evalUser": "builder"}, options{"nix": options{"settings": options{"trusted-users": []string{"root", "builder"}}}}),
			"nix-daemon trusts builder",
		},
		{
			"an evaluator that nix-daemon trusts as it does everybody", "controller",
			controllerHost(nil, options{"nix": options{"settings": options{"trusted-users": []string{"*"}}}}), "nix-daemon trusts kedge-eval",
		},
		{
			"an evaluator whom nix-daemon trusts besides others", "controller",
			controllerHost(nil, options{"nix": options{"settings": options{"extra-trusted-users": "root kedge-eval"}}}), "nix-daemon trusts kedge-eval",
		},
		{
			"an evaluator in a group that nix-daemon trusts", "controller",
			controllerHost(options{"evalUser": "builder"}, trustingWheel(options{"users": options{"builder": options{"extraGroups": []string{"ops", "wheel"}}}})),
			"nix-daemon trusts builder, who evaluates, as it does all of @wheel",
		},
		{
			"an evaluator whose own group nix-daemon trusts", "controller",
			controllerHost(options{"evalUser": "builder"}, trustingWheel(options{"users": options{"other": options{"name": "builder", "group": "wheel"}}})),
			"nix-daemon trusts builder, who evaluates, as it does all of @wheel",
		},
		{
			"an evaluator who is a member of a group that nix-daemon trusts", "controller",
			controllerHost(nil, trustingWheel(options{"groups": options{"other": options{"name": "wheel", "members": []string{"kedge-eval"}}}})),
			"nix-daemon trusts kedge-eval, who evaluates, as it does all of @wheel",
		},
		{
			"root by its name, whom NixOS has nix-daemon trust", "controller",
			controllerHost(options{"evalUser": "root"}, options{"nix": options{"settings": options{"allowed-users": []string{"ops"}, "trusted-users": []string{"root"}}}}),
			`evalUser is "root"`,
		},
		{
			"a certificate without its key", "controller", controllerHost(options{"tls": options{"certificateFile": "/run/cert.pem"}}, nil),
			"set together or not at all",
		},
		{"state on a tmpfs", "agent", agentHost(nil, mounted(options{"/": "tmpfs", "/nix": "ext4", "/var/lib/kedge-old": "ext4"})), `/var/lib/kedge is on the tmpfs that is /, and must outlive a boot; mount something there that does, such as fileSystems."/var/lib/kedge" = { device = "/persist/var/lib/kedge"; fsType = "none"; options = [ "bind" ]; }`},
		{"state on a tmpfs of its own", "agent", agentHost(nil, mounted(options{"/": "ext4", "/var/lib": "tmpfs"})), "is on the tmpfs that is /var/lib"},
		{"a controller's state on a tmpfs", "controller", controllerHost(nil, mounted(options{"/": "tmpfs"})), "services.kedge-controller: /var/lib/kedge-controller is on"},
		{"controller without Nix", "controller", controllerHost(nil, options{"nix": options{"enable": false}}), "set nix.enable = true"},
	} {
		got := e.mustEvaluate(t, tt.service, tt.config)
		if len(got.Refusals) != 1 || !strings.Contains(got.Refusals[0], tt.want) {
			t.Errorf("%s: refused with %q, want one message with %q", tt.name, got.Refusals, tt.want)
		}
	}
	named := mounted(options{"/": "tmpfs"})
	named["fileSystems"].(options)["state"] = options{"fsType": "ext4", "mountPoint": "/var/lib"}
	byUnit := mounted(options{"/": "tmpfs"})
	byUnit["systemd"] = options{"mounts": []options{{"where": "/var/lib/kedge", "what": "/persist/kedge"}}}
	for name, good := range map[string]evaluation{
		"agent":      e.mustEvaluate(t, "agent", agentHost(nil, nil)),
		"controller": e.mustEvaluate(t, "controller", controllerHost(nil, nil)),
		"NATS of somebody else's": e.mustEvaluate(t, "controller", controllerHost(options{
			"advertise": []string{}, "settings": options{"nats": options{"url": "tls://n1.example.org:4222"}},
		}, nil)),
		"an evaluator by its name":                  e.mustEvaluate(t, "controller", controllerHost(nil, options{"nix": options{"settings": options{"allowed-users": []string{"kedge-eval"}}}})),
		"an evaluator who is let in besides others": e.mustEvaluate(t, "controller", controllerHost(nil, options{"nix": options{"settings": options{"allowed-users": "root", "extra-allowed-users": []string{"kedge-eval"}}}})),
		"an evaluator by a group":                   e.mustEvaluate(t, "controller", controllerHost(nil, options{"nix": options{"settings": options{"allowed-users": []string{"@builders"}}}})),
		"an evaluator in no group that is trusted": e.mustEvaluate(t, "controller", controllerHost(options{"evalUser": "builder"}, trustingWheel(options{
			"users":  options{"ops": options{"group": "users", "extraGroups": []string{"wheel"}}, "builder": options{"group": "wheels", "extraGroups": []string{"users"}}},
			"groups": options{"wheel": options{"members": []string{"ops"}}, "users": options{"members": []string{"builder"}}, "builder": options{}},
		}))),
		"root, in a group that is trusted": e.mustEvaluate(t, "controller", controllerHost(options{"evalUser": ""}, trustingWheel(options{"groups": options{"wheel": options{"members": []string{"", "root"}}}}))),
		"nobody but root evaluates":        e.mustEvaluate(t, "controller", controllerHost(options{"evalUser": ""}, options{"nix": options{"settings": options{"allowed-users": []string{"root"}, "trusted-users": []string{"root"}}}})),
		"state that stays on a tmpfs":      e.mustEvaluate(t, "agent", agentHost(nil, mounted(options{"/": "tmpfs", "/var/lib/kedge": "none"}))),
		"a mount point that has a name":    e.mustEvaluate(t, "agent", agentHost(nil, named)),
		"all of /var stays":                e.mustEvaluate(t, "agent", agentHost(nil, mounted(options{"/": "tmpfs", "/var": "btrfs"}))),
		"a mount of somebody else's unit":  e.mustEvaluate(t, "agent", agentHost(nil, byUnit)),
	} {
		if len(good.Refusals) > 0 {
			t.Errorf("%s: a good host is refused: %q", name, good.Refusals)
		}
	}

	for _, tt := range []struct {
		name    string
		service string
		config  options
		want    []string // in the error
	}{
		{
			"credentials in the store", "agent", agentHost(options{"credentialsFile": e.programs + "/kedge.creds"}, nil),
			[]string{"services.kedge-agent.credentialsFile", "not in the Nix store"},
		},
		{
			"a proxy's password in the store", "agent", agentHost(options{"settings": options{"proxy": options{"url_file": e.programs + "/proxy"}}}, nil),
			[]string{"services.kedge-agent.settings.proxy.url_file", "not in the Nix store"},
		},
		{
			"a repository's token in the store", "controller",
			controllerHost(options{"sources": options{"main": options{"url": "https://git.example.org/fleet", "token_file": e.programs + "/token"}}}, nil),
			[]string{"services.kedge-controller.sources.main.token_file", "not in the Nix store"},
		},
		{
			"credentials wherever the agent is started", "agent", agentHost(options{"credentialsFile": "kedge.creds"}, nil),
			[]string{"services.kedge-agent.credentialsFile", "absolute path"},
		},
		{
			"no key is trusted", "agent", agentHost(options{"trust": options{"releaseKeys": []string{}, "controllerKeys": []string{exampleKey}, "cacheKeys": []string{exampleKey}}}, nil),
			[]string{"services.kedge-agent.trust.releaseKeys"},
		},
		{
			"a duration without its unit", "agent", agentHost(options{"settings": options{"probation": options{"grace": "20"}}}, nil),
			[]string{"services.kedge-agent.settings.probation.grace", "duration such as 90s"},
		},
		{
			"a setting of another type", "agent", agentHost(options{"settings": options{"drift": options{"policy": "fix"}}}, nil),
			[]string{"services.kedge-agent.settings.drift.policy", "adopt"},
		},
		{"no server", "agent", agentHost(options{"servers": []string{}}, nil), []string{"services.kedge-agent.servers"}},
		{"a pin of nothing", "agent", agentHost(options{"pins": []string{"sha256:x"}}, nil), []string{"services.kedge-agent.pins"}},
		{"a machine ID that is none", "agent", agentHost(options{"machineId": "box"}, nil), []string{"services.kedge-agent.machineId", "32 digits"}},
		{"an unknown option", "agent", agentHost(options{"server": "x"}, nil), []string{"services.kedge-agent.server", "does not exist"}},
		{
			"no source", "controller", controllerHost(options{"sources": options{"main": options{}}}, nil),
			[]string{"services.kedge-controller.sources.main.url", "no value defined"},
		},
	} {
		_, err := e.evaluate(t, tt.service, tt.config)
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q in it", tt.name, err, want)
			}
		}
	}
}

// trustingWheel returns options of a host whose nix-daemon trusts the group wheel, with others of users.
func trustingWheel(users options) options {
	return options{"nix": options{"settings": options{"trusted-users": []string{"root", "@wheel"}}}, "users": users}
}

// mounted returns options of a host with file systems, by where they are.
func mounted(types options) options {
	fileSystems := options{}
	for where, kind := range types {
		fileSystems[where] = options{"fsType": kind, "device": "/dev/disk"}
	}
	return options{"fileSystems": fileSystems}
}
