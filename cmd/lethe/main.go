// Command lethe is a Matrix homeserver, and the command line of its operator.
//
// Holds: flags and commands. Every command about accounts is a client of the
// server's API for operators, over a socket in the data folder; where no server
// runs, the command opens the database and serves that API to itself.
//
// May import: app, client, config, and deactivation for what needs no server.
//
// Never: a rule of the domain, SQL. Nothing imports it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"lethe/internal/config"
)

// version is set when a release is built, with -ldflags "-X main.version=…".
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// cli is the whole command line.
type cli struct {
	ConfigFile      string `name:"config" placeholder:"FILE" help:"YAML file of settings."`
	JSON            bool   `name:"json" help:"Print JSON."`
	config.Settings `embed:"" group:"Settings"`

	Serve             serveCommand     `cmd:"" help:"Run the server."`
	Account           accountCommands  `cmd:"" help:"Accounts: create, look at, end."`
	Deactivation      endingCommands   `cmd:"" help:"Endings of accounts: progress, retry, receipt."`
	RegistrationToken regTokenCommands `cmd:"" help:"Registration tokens."`
	Privacy           privacyCommands  `cmd:"" help:"What is stored about people."`
	Config            configCommands   `cmd:"" help:"Settings."`
	Version           versionCommand   `cmd:"" help:"Print the version."`
}

// invocation is what a command runs with.
type invocation struct {
	ctx      context.Context
	settings config.Settings
	file     *config.File     // nil: none
	problems []config.Problem // of the file
	json     bool
	in       io.Reader
	out, err io.Writer
}

// exitError ends the program with a code after everything has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// run runs one command and returns the exit code: 0 for success, 1 for a
// failure, 2 for a command line or settings that make no sense.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	inv := &invocation{ctx: ctx, in: in, out: out, err: errOut}
	err := inv.run(args)
	var code exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(errOut, "lethe:", err)
	if _, ok := errors.AsType[*kong.ParseError](err); ok {
		return 2
	}
	return 1
}

func (inv *invocation) run(args []string) error {
	if err := inv.readFile(args); err != nil {
		return err
	}
	var c cli
	exited := false
	options := []kong.Option{
		kong.Name("lethe"), kong.Description("A Matrix homeserver where an account can really end."),
		kong.Writers(inv.out, inv.err), kong.Exit(func(int) { exited = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Bind(inv),
		kong.PostBuild(func(k *kong.Kong) error { adjust(k.Model, args); return nil }),
	}
	if inv.file != nil {
		options = append(options, kong.Resolvers(inv.file))
	}
	parser, err := kong.New(&c, options...)
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if exited {
		return nil // --help
	}
	if err != nil {
		return err
	}
	inv.settings, inv.json = c.Settings, c.JSON
	return command.Run()
}

// readFile reads the file of settings before the rest of the command line, which
// takes its defaults from it.
func (inv *invocation) readFile(args []string) (err error) {
	path := os.Getenv(config.EnvPrefix + "_CONFIG")
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--config="); ok {
			path = value
		} else if arg == "--config" && i+1 < len(args) {
			path = args[i+1]
		}
	}
	if path == "" {
		return nil
	}
	inv.file, inv.problems, err = config.ReadFile(path)
	return err
}

// everywhere are the settings that commands beside serve say in their help.
var everywhere = []string{"config", "json", "help", "data-dir", "database", "server-name"}

// adjust gives the settings, and no flags of commands, their variables, and
// leaves most of them out of the help of commands that seldom need them.
func adjust(app *kong.Application, args []string) {
	long := slices.Contains(args, "serve") || slices.Contains(args, "config")
	for _, flag := range app.Flags {
		flag.Hidden = !long && !slices.Contains(everywhere, flag.Name)
		if flag.Name != "help" {
			name := config.EnvPrefix + "_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
			flag.Envs, flag.Tag.Envs = []string{name}, []string{name}
		}
	}
}

// mistakes are all that is wrong with the settings, in the order of the file.
func (inv *invocation) mistakes() []config.Problem {
	problems := append(slices.Clone(inv.problems), inv.settings.Check(inv.file)...)
	slices.SortStableFunc(problems, func(a, b config.Problem) int { return a.Line - b.Line })
	return problems
}

// checked makes sure that the settings make sense.
func (inv *invocation) checked() error {
	problems := inv.mistakes()
	if len(problems) == 0 {
		return nil
	}
	for _, p := range problems {
		fmt.Fprintln(inv.err, "lethe:", p)
	}
	return exitError(2)
}

// versionCommand is lethe version.
type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(inv *invocation) error {
	if inv.json {
		return inv.printJSON(map[string]string{"version": versionString()})
	}
	_, err := fmt.Fprintln(inv.out, "lethe", versionString())
	return err
}

// versionString is the release's version, or the commit this was built from.
func versionString() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "0.1.0-dev+" + s.Value[:min(len(s.Value), 12)]
		}
	}
	return "0.1.0-dev"
}
