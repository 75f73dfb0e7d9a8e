// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"

	"github.com/spf13/cobra"
)

// Version of the plugin, set when it is built.
type Version struct {
	// Version such as v0.1.0.
	Version string `json:"version"`
	// Commit and Date of the source.
	Commit string `json:"commit,omitempty"`
	Date   string `json:"date,omitempty"`
	// Go version and Platform (os/arch) of the build.
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// versions is what `version -o json` prints.
type versions struct {
	Client Version `json:"client"`
	// Server is the API server's, absent with --client.
	Server string `json:"server,omitempty"`
}

func newVersion(g *global) *cobra.Command {
	var clientOnly bool
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of plugin and cluster",
		Example: `  kubectl underlay version
  kubectl underlay version --client -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(cmd, "output", output, "", "json", "yaml"); err != nil {
				return err
			}
			v := versions{Client: g.env.Version}
			if !clientOnly {
				cluster, err := g.cluster()
				if err != nil {
					return fmt.Errorf("%w (or --client for the plugin's version alone)", err)
				}
				if v.Server, err = cluster.Version(); err != nil {
					return fmt.Errorf("%w (or --client for the plugin's version alone)", err)
				}
			}
			if output != "" {
				return printValue(g.env.Out, output, v)
			}
			c := v.Client
			fmt.Fprintf(g.env.Out, "Client: %s (commit %s, %s, %s)\n", c.Version, orUnknown(c.Commit), c.Go, c.Platform)
			if v.Server != "" {
				fmt.Fprintf(g.env.Out, "Server: %s\n", v.Server)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "the plugin's version alone, without asking the cluster")
	addOutputFlag(cmd, &output, "json", "yaml")
	return cmd
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
