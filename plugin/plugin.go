// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/plugin/ui"
)

// Environment is what the plugin needs from outside.
type Environment struct {
	genericiooptions.IOStreams
	Version Version
	// NewProvider gives the cloud.
	NewProvider func(Account) cloud.Provider
	// Getenv reads an environment variable.
	Getenv func(string) string
}

// Account says where in the cloud the nodes are.
type Account struct {
	// Region to ask; empty means that the provider finds it by itself.
	Region string
	// RoleARN of a role to take; empty means the credentials' own.
	RoleARN string
}

// Execute runs the command line and returns the exit code.
func Execute(ctx context.Context, env Environment, args []string) int {
	g := newGlobal(env)
	root := g.command()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		err = context.Canceled
	case err == nil || errors.As(err, new(foundError)):
		err = cmp.Or(g.unwritten(), err)
	}
	return exitCode(g.chatter(), err)
}

// NewCommand gives the root command.
func NewCommand(env Environment) *cobra.Command { return newGlobal(env).command() }

func (g *global) command() *cobra.Command {
	env := g.env
	root := &cobra.Command{
		Use:   "kubectl-underlay",
		Short: "Underlay networking for Kubernetes: pods on the cloud's own interfaces",
		Long: `Give pods addresses of the cloud's own network.

kubectl underlay finds each node's interfaces (ENIs) and the addresses that the cloud has bound to them, plans
address pools and Multus attachments, shows the difference to the cluster, and applies it. An operator then keeps pools
true to the cloud, and an agent on each node gives them to pods.`,
		Example: `  # What is there?
  kubectl underlay inspect
  kubectl underlay check

  # What would change, and change it
  kubectl underlay plan
  kubectl underlay init

  # Does it work? Free and used addresses
  kubectl underlay status
  kubectl underlay pools`,
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl underlay"},
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,

		SuggestionsMinimumDistance: 2,
		RunE:                       help,
		PersistentPreRunE:          func(cmd *cobra.Command, _ []string) error { return g.validate(cmd) },
	}
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.ErrOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
			err = fmt.Errorf("--%s needs a value: %s", missing.GetFlag().Name, missing.GetFlag().Usage)
		}
		return usageError{cmd.CommandPath(), err}
	})
	g.addFlags(root)
	root.AddGroup(
		&cobra.Group{ID: groupSetUp, Title: "Set up:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
	)
	root.AddCommand(
		grouped(groupSetUp, newInit(g)), grouped(groupSetUp, newPlan(g)), grouped(groupSetUp, newUninstall(g)),
		grouped(groupLook, newInspect(g)), grouped(groupLook, newCheck(g)), grouped(groupLook, newPools(g)),
		grouped(groupLook, newStatus(g)),
		newVersion(g), newCompletion(),
	)
	fitHelp(root, ui.NewScreen(env.Out, g.screenOptions()))
	return root
}

const (
	groupSetUp = "setup"
	groupLook  = "look"
)

func grouped(id string, cmd *cobra.Command) *cobra.Command {
	cmd.GroupID = id
	return cmd
}

// help runs where a subcommand is missing or unknown.
func help(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	message := fmt.Sprintf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{cmd.CommandPath(), errors.New(message)}
}

// noArgs refuses arguments with a message that shows them.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{cmd.CommandPath(), fmt.Errorf("unexpected argument %q", args[0])}
}

// global holds the flags of all commands.
type global struct {
	env    Environment
	config *genericclioptions.ConfigFlags
	// account to ask.
	account Account
	color   string
	// stdout and stderr are made when they are first drawn on: the flags are read by then.
	stdout, stderr *ui.Screen
}

func newGlobal(env Environment) *global {
	return &global{env: env, config: genericclioptions.NewConfigFlags(true)}
}

func (g *global) addFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&g.account.Region, "region", "", "AWS region; by default from the environment, else from the nodes' zones")
	flags.StringVar(&g.account.RoleARN, "role-arn", "", "AWS role to take, for nodes of another account")
	flags.StringVar(&g.color, "color", "auto", "colour: auto, always or never")
	g.config.AddFlags(flags)
	flags.Lookup("cache-dir").DefValue = "$HOME/.kube/cache" // help says the same on every machine
	completeWith(root, "color", "auto", "always", "never")
	g.completeContexts(root, "context")
}

func (g *global) validate(cmd *cobra.Command) error {
	return oneOf(cmd, "color", g.color, "auto", "always", "never")
}

// cluster connects to the cluster that the flags name.
func (g *global) cluster() (*kube.Cluster, error) {
	if ok, err := g.hasCluster(); err != nil || !ok {
		return nil, cmp.Or[error](err, noClusterError{})
	}
	config, err := g.config.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return kube.Connect(config)
}

// hasCluster says whether flags, a kubeconfig or a pod's environment name a cluster. Without one, kubectl's own
// libraries would try localhost:8080.
func (g *global) hasCluster() (bool, error) {
	config, err := g.config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return false, fmt.Errorf("kubeconfig: %w", err)
	}
	named := *g.config.APIServer != "" || g.env.Getenv("KUBERNETES_SERVICE_HOST") != ""
	return named || len(config.Clusters) > 0, nil
}

// noClusterError says that no cluster is configured.
type noClusterError struct {
	// otherwise is what the command can do without one, such as ", or use …"; empty for nothing.
	otherwise string
}

func (e noClusterError) Error() string {
	return "no cluster is configured; give --kubeconfig or set KUBECONFIG" + e.otherwise
}

// out is where data is drawn, chatter where all else is.
func (g *global) out() *ui.Screen {
	if g.stdout == nil {
		g.stdout = ui.NewScreen(g.env.Out, g.screenOptions())
	}
	return g.stdout
}

func (g *global) chatter() *ui.Screen {
	if g.stderr == nil {
		g.stderr = ui.NewScreen(g.env.ErrOut, g.screenOptions())
	}
	return g.stderr
}

// unwritten says that data could not be written, as to a full disk: that is not fine.
func (g *global) unwritten() error {
	if g.stdout == nil || g.stdout.Err() == nil {
		return nil
	}
	return fmt.Errorf("write the output: %w", g.stdout.Err())
}

func (g *global) screenOptions() ui.Options {
	return ui.Options{Color: ui.Color(g.color), Getenv: g.env.Getenv}
}

// oneOf refuses a flag's value that is not among the allowed ones.
func oneOf(cmd *cobra.Command, flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usageError{cmd.CommandPath(), fmt.Errorf("--%s=%q is not allowed; use %s", flag, value, strings.Join(allowed, ", "))}
}

// completeWith lets the shell complete a flag with fixed values.
func completeWith(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag is not defined: a mistake in this package
	}
}
