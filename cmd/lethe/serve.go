package main

import (
	"fmt"
	"log/slog"

	"lethe/internal/app"
	"lethe/internal/config"
)

// serveCommand is lethe serve.
type serveCommand struct{}

// Run serves until it is told to stop.
func (serveCommand) Run(inv *invocation) error {
	if err := inv.checked(); err != nil {
		return err
	}
	log := inv.logger(slog.LevelDebug)
	srv, err := app.Open(inv.ctx, inv.settings, app.Options{Log: log, Version: versionString()})
	if err != nil {
		return err
	}
	err = srv.Serve(inv.ctx, func() { inv.greet(srv) })
	if closed := srv.Close(); err == nil {
		err = closed
	}
	log.Info("stopped")
	return err
}

// greet tells somebody who has started the server what to do next.
func (inv *invocation) greet(srv *app.Server) {
	if inv.json {
		_ = inv.printJSON(map[string]string{ // it serves, whether or not somebody reads that
			"version": versionString(), "server_name": inv.settings.ServerName, "url": srv.BaseURL(),
			"account_page": srv.BaseURL() + "/_lethe/account",
		})
		return
	}
	args := ""
	if dir := inv.settings.DataDir; dir != config.Defaults().DataDir {
		args = " --data-dir " + dir
	}
	fmt.Fprintf(inv.out, `Lethe %s runs as %s.
Clients connect to   %s
The account page is  %s/_lethe/account
Make the first user  lethe account create --admin%s NAME
`, versionString(), inv.settings.ServerName, srv.BaseURL(), srv.BaseURL(), args)
}

// logger writes the log to standard error, from the level of the settings or
// least, whichever is higher.
func (inv *invocation) logger(least slog.Level) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(inv.settings.LogLevel)) // the setting is one of its names
	opts := &slog.HandlerOptions{Level: max(level, least)}
	if inv.settings.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(inv.err, opts))
	}
	return slog.New(slog.NewTextHandler(inv.err, opts))
}
