package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/client"
	"lethe/internal/app"
)

// operator is the API for operators, of the server that runs or of this process.
type operator struct {
	*client.Client
	inv   *invocation
	local *app.Server // nil: a server runs
	stop  context.CancelFunc
	done  chan error
}

// adminPath is where the API for operators is.
const adminPath = "/_lethe/admin/v1"

// operator finds the server by its socket. Where none runs, this process opens
// the database itself, for as long as the command takes.
func (inv *invocation) operator() (*operator, error) {
	socket := app.SocketPath(inv.settings.DataDir)
	o := &operator{Client: client.Unix(socket), inv: inv}
	if conn, err := net.DialTimeout("unix", socket, time.Second); err == nil { //nolint:noctx // it is a file
		return o, conn.Close()
	}
	if err := inv.checked(); err != nil {
		return nil, err
	}
	log := inv.logger(slog.LevelWarn)
	var err error
	if o.local, err = app.Open(inv.ctx, inv.settings, app.Options{Log: log, Version: versionString()}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(inv.ctx)
	o.stop, o.done = cancel, make(chan error, 1)
	ready := make(chan struct{})
	go func() { o.done <- o.local.ServeOperator(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
		return o, nil
	case err := <-o.done:
		o.done <- err
		return nil, errors.Join(err, o.close())
	}
}

// finishTime is how long a command that runs without a server works on what it
// has caused; the rest is done when the server runs.
const finishTime = 10 * time.Second

// close ends the server in this process, if there is one.
func (o *operator) close() error {
	if o.local == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(o.inv.ctx, finishTime)
	defer cancel()
	drained := o.local.Jobs.Drain(ctx)
	if ctx.Err() != nil {
		drained = nil
	}
	o.stop()
	return errors.Join(drained, <-o.done, o.local.Close())
}

// asOperator runs do with the API for operators.
func (inv *invocation) asOperator(do func(*operator) error) error {
	o, err := inv.operator()
	if err != nil {
		return err
	}
	return errors.Join(do(o), o.close())
}

// call makes a request to the API for operators and returns its answer.
func (o *operator) call(method, path string, in any) (jsontext.Value, error) {
	var out jsontext.Value
	err := o.Do(o.inv.ctx, method, adminPath+path, in, &out)
	return out, err
}

// show makes a request and prints the answer: as it is with --json, and by human
// otherwise.
func show[T any](o *operator, method, path string, in any, human func(w io.Writer, answer T)) error {
	raw, err := o.call(method, path, in)
	if err != nil {
		return err
	}
	if o.inv.json {
		return o.inv.printRaw(raw)
	}
	var answer T
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("the server's answer: %w", err)
	}
	human(o.inv.out, answer)
	return nil
}

// userPath is the path of an account in the API for operators.
func userPath(user string) string { return "/users/" + url.PathEscape(user) }

func (inv *invocation) printJSON(v any) error {
	raw, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	return inv.printRaw(raw)
}

func (inv *invocation) printRaw(raw jsontext.Value) error {
	if err := raw.Indent(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(inv.out, raw.String())
	return err
}

// maxInput bounds what is read from the standard input, in bytes.
const maxInput = 16 << 20

// readFileOrInput reads a file, - being the standard input.
func (inv *invocation) readFileOrInput(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(io.LimitReader(inv.in, maxInput))
	}
	return os.ReadFile(file) //nolint:gosec // whoever runs the command names the file
}

// readPassword reads a password from a file, - being the standard input; ""
// stands for no file.
func (inv *invocation) readPassword(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	raw, err := inv.readFileOrInput(file)
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

// confirm asks to type a word before something that cannot be undone.
func (inv *invocation) confirm(question, word string) error {
	fmt.Fprintf(inv.err, "%s\nType %s to go on: ", question, word)
	line, err := bufio.NewReader(inv.in).ReadString('\n')
	if strings.TrimSpace(line) == word {
		return nil
	}
	if err != nil {
		return errors.New("nothing was done: it needs a confirmation, or --yes")
	}
	return errors.New("nothing was done")
}

// moment is a time of the API for operators, for people.
func moment(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05Z")
}
