package main

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"castad/store"
)

type ledgerInput struct {
	By       string `query:"by" enum:"day,provider,user,task" default:"day"`
	From     string `query:"from" format:"date" doc:"first day, in UTC; 30 days ago unless given"`
	To       string `query:"to" format:"date" doc:"last day, in UTC; today unless given"`
	UserUUID string `query:"user_uuid" maxLength:"36"`
	TaskID   string `query:"task_id" maxLength:"36"`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type ledgerLine struct {
	Key       string `json:"key" doc:"the day, provider, user or task"`
	Calls     int    `json:"calls"`
	Micros    int64  `json:"micros" doc:"millionths of a US dollar, charged or still held"`
	Held      int64  `json:"held_micros" doc:"of it: for calls that aren't settled yet"`
	Estimated int64  `json:"estimated_micros" doc:"of it: settled although the provider never told the price"`
}

type ledgerOutput struct {
	Body struct {
		Items []ledgerLine `json:"items"`
	}
}

func (s *server) addLedger(api huma.API) {
	op := admin(operation(http.MethodGet, "/admin/ledger", "sum-ledger", "What providers have charged, by day, provider, user or task"))
	add(s, api, tagged(op, "Operations"), s.sumLedger)
}

func (s *server) sumLedger(ctx context.Context, in *ledgerInput) (*ledgerOutput, error) {
	now := s.Now().UTC()
	from, to := day(in.From, now.AddDate(0, 0, -30)), day(in.To, now)
	if to.Before(from) {
		return nil, refused("days_reversed", "query.to", "The last day comes before the first.")
	}
	sums, err := s.DB.SumLedger(ctx, store.LedgerFilter{By: in.By, From: from, To: to, UserUUID: in.UserUUID, TaskID: in.TaskID, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &ledgerOutput{}
	out.Body.Items = make([]ledgerLine, len(sums))
	for i, sum := range sums {
		out.Body.Items[i] = ledgerLine(sum)
	}
	return out, nil
}

// day reads a day whose form huma has checked.
func day(text string, otherwise time.Time) time.Time {
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at
	}
	return otherwise
}
