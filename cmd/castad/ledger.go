package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"castad/store"
)

type ledgerCommand struct {
	By   string    `enum:"day,provider,user,task" default:"day" help:"One line for each day, provider, user or task."`
	From time.Time `format:"2006-01-02" help:"First day, in UTC; 30 days ago unless given."`
	To   time.Time `format:"2006-01-02" help:"Last day, in UTC; today unless given."`
	User string    `help:"Only of this user."`
	Task string    `help:"Only of this task."`
	JSON bool      `help:"As JSON, amounts in millionths of a US dollar."`
}

// Run prints sums.
func (c *ledgerCommand) Run(s *session) error {
	db, err := s.store()
	if err != nil {
		return err
	}
	defer db.Close()
	if c.To.IsZero() {
		c.To = time.Now()
	}
	if c.From.IsZero() {
		c.From = c.To.AddDate(0, 0, -30)
	}
	sums, err := db.SumLedger(s.ctx, store.LedgerFilter{By: c.By, From: c.From, To: c.To, UserUUID: c.User, TaskID: c.Task, Limit: 1000})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(sums)
	}
	table := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "%s\tCALLS\tCHARGED OR HELD\tOF IT HELD\tESTIMATED\t\n", c.By)
	var total store.Spent
	for _, sum := range sums {
		printSpent(table, sum)
		total.Calls, total.Micros, total.Held, total.Estimated = total.Calls+sum.Calls, total.Micros+sum.Micros, total.Held+sum.Held, total.Estimated+sum.Estimated
	}
	total.Key = "total"
	printSpent(table, total)
	return table.Flush()
}

func printSpent(table *tabwriter.Writer, s store.Spent) {
	fmt.Fprintf(table, "%s\t%d\t$%.6f\t$%.6f\t$%.6f\t\n", s.Key, s.Calls, float64(s.Micros)/1e6, float64(s.Held)/1e6, float64(s.Estimated)/1e6)
}
