package main

import (
	"errors"
	"fmt"

	"lethe/internal/config"
	"lethe/internal/deactivation"
)

// configCommands are lethe config ….
type configCommands struct {
	Check configCheck `cmd:"" help:"Check the settings, and explain each mistake with its line."`
	List  configList  `cmd:"" help:"List all settings with their defaults, as Markdown, or as JSON."`
}

// configCheck is lethe config check.
type configCheck struct{}

// Run prints what is wrong with the settings.
func (configCheck) Run(inv *invocation) error {
	problems := inv.mistakes()
	if inv.json {
		if problems == nil {
			problems = []config.Problem{}
		}
		if err := inv.printJSON(map[string]any{"problems": problems}); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		for _, p := range problems {
			if !inv.json {
				fmt.Fprintln(inv.out, p)
			}
		}
		return exitError(1)
	}
	if inv.json {
		return nil
	}
	_, err := fmt.Fprintln(inv.out, "The settings are fine.")
	return err
}

// configList is lethe config list.
type configList struct{}

// Run prints all settings.
func (configList) Run(inv *invocation) error {
	if inv.json {
		return inv.printJSON(map[string]any{"settings": config.List()})
	}
	return config.WriteMarkdown(inv.out)
}

// privacyCommands are lethe privacy ….
type privacyCommands struct {
	Inventory inventoryCommand `cmd:"" help:"Print what is stored about people: why, until when, and how they get it (GDPR Art. 30)."`
}

// inventoryCommand is lethe privacy inventory.
type inventoryCommand struct {
	Markdown bool `help:"Print Markdown."`
}

// Run prints the inventory.
func (c inventoryCommand) Run(inv *invocation) error {
	switch {
	case c.Markdown && inv.json:
		return errors.New("--markdown and --json exclude each other")
	case c.Markdown:
		return deactivation.WriteMarkdown(inv.out)
	case inv.json:
		return inv.printJSON(deactivation.Inventory)
	}
	return deactivation.WriteTable(inv.out)
}
