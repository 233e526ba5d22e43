package main

import (
	"context"
	"fmt"
)

// sshDir is where the build host has its key and settings, and the hosts have
// the key that they let in.
const sshDir = "/root/.ssh"

// openConnections makes a key for the build host, lets it in on every host, and
// opens the connections that the steps by hand share.
func (b *bench) openConnections(ctx context.Context) error {
	build := b.fleet.Build()
	if _, err := build.Run(ctx, "install", "--directory", "--mode=0700", sshDir); err != nil {
		return err
	}
	if _, err := build.Run(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", sshDir+"/id_ed25519"); err != nil {
		return err
	}
	key, err := build.ReadFile(sshDir + "/id_ed25519.pub")
	if err != nil {
		return err
	}
	if err := build.WriteFile(sshDir+"/config", b.sshConfig(), 0o600); err != nil {
		return err
	}
	for _, h := range b.fleet.Hosts() {
		if err := h.WriteFile(sshDir+"/authorized_keys", key, 0o600); err != nil {
			return err
		}
		if _, err := h.Run(ctx, "systemctl", "start", "ssh.service"); err != nil {
			return err
		}
		// ssh goes to the background when the connection is open.
		if _, err := build.Run(ctx, "systemd-run", "--quiet", "--service-type=forking", "--unit=ssh-"+h.Name(),
			"ssh", "-f", "-N", "-M", h.Name()); err != nil {
			return err
		}
	}
	return nil
}

// sshConfig makes every connection to a host one through that which is open.
func (b *bench) sshConfig() []byte {
	config := []byte("Host *\n\tUser root\n\tControlPath /run/ssh-%n\n\tStrictHostKeyChecking no\n\tUserKnownHostsFile /dev/null\n\tLogLevel ERROR\n")
	for _, h := range b.fleet.Hosts() {
		config = fmt.Appendf(config, "Host %s\n\tHostName %s\n", h.Name(), h.WANAddr())
	}
	return config
}
