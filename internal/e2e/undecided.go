package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// callbackPatience is how long the test, as an operator, waits for a provider that tells by itself what it has accepted.
const callbackPatience = 20 * time.Second

// waitsForWord reports whether a stage can't go on before somebody knows what became of its call.
func (t Task) waitsForWord() bool {
	for _, stage := range t.Stages {
		if stage.Status == "waiting" && stage.Code == "outcome_unknown" {
			return true
		}
	}
	return false
}

// undecided is a call of which the programs don't know whether it was accepted.
type undecided struct{ id, provider, task, stage, token string }

const selectUndecided = "SELECT `id`,`provider`,`task_id`,`stage`,`token` FROM `provider_job` WHERE `status` IN ('sent','unknown')" +
	" AND `provider` IN ('suno','creatomate') AND `sent_at` < NOW(6) - INTERVAL ? SECOND"

// decide is what an operator does about songs and renders of which nobody knows: their providers would have called back.
// All other calls are found, or found missing, by the programs. The operator looks into the provider's own account, and
// adopts what is there; what isn't is ordered again.
func (p *Product) decide() {
	p.t.Helper()
	p.desk.Lock()
	defer p.desk.Unlock()
	if p.office == nil {
		p.office = p.Rows(p.t)
	}
	for _, call := range p.undecided() {
		p.settle(call)
	}
}

const decideEvery = 2 * time.Second

// operate decides now and then until ctx ends.
func (p *Product) operate(ctx context.Context) {
	tick := time.NewTicker(decideEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.decide()
		case <-ctx.Done():
			return
		}
	}
}

// undecided lists such calls; none while the database is away.
func (p *Product) undecided() (calls []undecided) {
	rows, err := p.office.Query(selectUndecided, p.decides.Seconds())
	if err != nil {
		return nil
	}
	defer rows.Close() //nolint:errcheck // read to its end below
	for rows.Next() {
		var call undecided
		if rows.Scan(&call.id, &call.provider, &call.task, &call.stage, &call.token) == nil {
			calls = append(calls, call)
		}
	}
	if rows.Err() != nil {
		return nil
	}
	return calls
}

func (p *Product) settle(call undecided) {
	charged, known := p.chargeOf(call)
	switch {
	case !known: // the sandbox is away: later
	case charged != "":
		p.castad("job", "adopt", call.id, charged)
	default:
		p.castad("job", "again", call.id)
	}
}

// chargeOf looks for a call among the charges of the provider's account; "" if it isn't there.
func (p *Product) chargeOf(call undecided) (id string, known bool) {
	resp, err := http.Get(p.Sandbox() + "/bill/charges")
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	for lines := json.NewDecoder(resp.Body); lines.More(); {
		var charge struct{ Provider, ID, Mark string }
		if lines.Decode(&charge) != nil {
			return "", false
		}
		if charge.Provider == call.provider && (strings.HasSuffix(charge.Mark, "/"+call.token) || strings.HasPrefix(charge.Mark, call.task+"/")) {
			id = charge.ID
		}
	}
	return id, true
}

// Decided counts the calls, as "provider:task/stage", that were made again because a person said so.
func (p *Product) Decided(t testing.TB) map[string]int {
	t.Helper()
	decided := map[string]int{}
	for _, call := range Read[struct {
		Name  string
		Times int
	}](t, p.Rows(t), "SELECT CONCAT(`provider`,':',`task_id`,'/',`stage`) AS `name`, COUNT(*) AS `times` FROM `provider_job`"+
		" WHERE `status`='refused' AND `code`='decided' GROUP BY 1") {
		decided[call.Name] = call.Times
	}
	return decided
}
