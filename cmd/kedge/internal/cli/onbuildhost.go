package cli

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/command"
)

// controllerProgram is found on the build host.
const controllerProgram = "kedge-controller"

// stopDelay is for how long it may end by itself.
const stopDelay = 10 * time.Second

// onBuildHost is a command of the controller's own program, which has to be on this
// machine: what it is about does not go over the network.
func (k *kedge) onBuildHost(name, short string) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		Long: short + `.

It is ` + controllerProgram + ` ` + name + `, with its arguments, and is run on the build host: keys
go over no network.`,
		DisableFlagParsing: true, // they are that one's
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := k.lookPath(controllerProgram)
			if err != nil {
				return fmt.Errorf("%s: %w: run this on the build host, which keys do not leave", name, err)
			}
			run := command.New(cmd.Context(), stopDelay, append([]string{path, name}, args...)...)
			run.Stdout, run.Stderr = k.Stdout, k.Stderr
			if err := run.Run(); err != nil {
				_, err = command.Ended(cmd.Context(), run, err)
				return fmt.Errorf("%s %s: %w", controllerProgram, name, err)
			}
			return nil
		},
	}
}

// lookPath returns where a program is, by the PATH of k.
func (k *kedge) lookPath(program string) (string, error) {
	for _, dir := range filepath.SplitList(k.Getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no " + program + " on PATH")
}
