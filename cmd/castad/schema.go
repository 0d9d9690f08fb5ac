package main

import (
	"fmt"
	"os"

	"castad/internal/schema"
)

type schemaCommand struct {
	Diff  schemaDiff  `cmd:"" help:"Print the statements that would make the database what schema.sql says."`
	Apply schemaApply `cmd:"" help:"Run them."`
	Check schemaCheck `cmd:"" help:"Fail when the database isn't what schema.sql says."`
}

// source is what all three compare.
type source struct {
	File  string `default:"schema.sql" help:"The wanted schema."`
	Drops bool   `help:"Allow statements that drop something."`
}

func (f source) diff(s *session) ([]string, error) {
	wanted, err := os.ReadFile(f.File)
	if err != nil {
		return nil, fmt.Errorf("read the wanted schema: %w", err)
	}
	at, err := s.admin()
	if err != nil {
		return nil, err
	}
	return schema.Diff(at, string(wanted), f.Drops)
}

type schemaDiff struct{ source }

// Run prints.
func (c *schemaDiff) Run(s *session) error {
	statements, err := c.diff(s)
	for _, statement := range statements {
		fmt.Fprintln(s.out, statement+";")
	}
	return err
}

type schemaCheck struct{ source }

// Run fails on a difference.
func (c *schemaCheck) Run(s *session) error {
	statements, err := c.diff(s)
	if err == nil && len(statements) > 0 {
		err = fmt.Errorf("the database differs from %s by %d statements: see 'castad schema diff'", c.File, len(statements))
	}
	return err
}

type schemaApply struct{ source }

// Run applies, and prints what it ran.
func (c *schemaApply) Run(s *session) error {
	wanted, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("read the wanted schema: %w", err)
	}
	at, err := s.admin()
	if err != nil {
		return err
	}
	ran, err := schema.Apply(s.ctx, at, string(wanted), c.Drops)
	for _, statement := range ran {
		fmt.Fprintln(s.out, statement+";")
	}
	fmt.Fprintf(s.out, "-- %d statements were run\n", len(ran))
	return err
}
