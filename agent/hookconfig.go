package agent

import (
	"path"
	"time"

	"kedge/agent/internal/hook"
)

// HooksConfig says what to run at the borders of a deployment: the agent's, so
// that those before an activation are the proven system's.
type HooksConfig struct {
	PreFetch        []HookConfig `config:"pre_fetch"`
	PreActivate     []HookConfig `config:"pre_activate"`
	PreReboot       []HookConfig `config:"pre_reboot"`
	RebootCancelled []HookConfig `config:"reboot_cancelled"`
	PostCommit      []HookConfig `config:"post_commit"`
	PostRollback    []HookConfig `config:"post_rollback"`
}

// HookConfig is one program.
type HookConfig struct {
	Exec    []string      `config:"exec"`    // its path, absolute, and its arguments
	Timeout time.Duration `config:"timeout"` // zero means a minute
}

// defaultHookTimeout is enough to drain a host of what is quickly drained.
const defaultHookTimeout = time.Minute

// at returns the hooks of a point.
func (c HooksConfig) at(point hook.Point) (hooks []hook.Hook) {
	for _, h := range c.of(point) {
		timeout := h.Timeout
		if timeout == 0 {
			timeout = defaultHookTimeout
		}
		hooks = append(hooks, hook.Hook{Exec: h.Exec, Timeout: timeout})
	}
	return hooks
}

func (c HooksConfig) of(point hook.Point) []HookConfig {
	switch point {
	case hook.PreFetch:
		return c.PreFetch
	case hook.PreActivate:
		return c.PreActivate
	case hook.PreReboot:
		return c.PreReboot
	case hook.RebootCancelled:
		return c.RebootCancelled
	case hook.PostCommit:
		return c.PostCommit
	case hook.PostRollback:
		return c.PostRollback
	}
	return nil
}

func (c HooksConfig) validate(p *problems) {
	for key, hooks := range map[string][]HookConfig{
		"hooks.pre_fetch": c.PreFetch, "hooks.pre_activate": c.PreActivate,
		"hooks.pre_reboot": c.PreReboot, "hooks.reboot_cancelled": c.RebootCancelled,
		"hooks.post_commit": c.PostCommit, "hooks.post_rollback": c.PostRollback,
	} {
		for _, h := range hooks {
			p.check(len(h.Exec) > 0 && path.IsAbs(h.Exec[0]), "%s: exec must begin with an absolute path, got %q", key, h.Exec)
			p.check(h.Timeout == 0 || h.Timeout >= minDuration, "%s: timeout must be at least %s, got %s", key, minDuration, h.Timeout)
		}
	}
}
