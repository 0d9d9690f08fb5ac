package e2e_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"castad/internal/e2e"
)

const (
	forgeEvery = 100 * time.Millisecond
	// A call under way, and the id of somebody else's.
	selectMark = "SELECT a.`provider`, a.`token`, b.`external_id` FROM `provider_job` a JOIN `provider_job` b" +
		" ON b.`provider`=a.`provider` AND b.`task_id`<>a.`task_id` AND b.`external_id`<>''" +
		" WHERE a.`provider` IN ('suno','creatomate') AND a.`status`='accepted' ORDER BY RAND() LIMIT 1"
)

// forge calls back until ctx ends, as somebody would who knows the addresses: to those that nobody made, and to those of
// real calls with another's id, out of order, twice, and with nothing that can be read. It returns how many the API took.
func forge(ctx context.Context, t *testing.T, p *e2e.Product) (taken int) {
	rows := p.Rows(t)
	for tick := time.NewTicker(forgeEvery); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return taken
		}
		if got := callBack(t, p, "suno", rand.Text(), complete("suno", "x")); got != http.StatusNotFound {
			t.Errorf("a callback to an address that nobody made: status %d", got)
		}
		var provider, token, others string
		if err := rows.QueryRowContext(ctx, selectMark).Scan(&provider, &token, &others); err != nil {
			if err != sql.ErrNoRows && ctx.Err() == nil {
				t.Errorf("look for a call under way: %v", err)
			}
			continue
		}
		for _, body := range []string{complete(provider, others), complete(provider, others), first(others), "{"} {
			if callBack(t, p, provider, token, body) == http.StatusNoContent {
				taken++
			}
		}
	}
}

func complete(provider, id string) string {
	if provider == "creatomate" {
		return fmt.Sprintf(`{"id":%q,"status":"succeeded","url":"http://127.0.0.1:1/x.mp4"}`, id)
	}
	return fmt.Sprintf(`{"code":200,"msg":"success","data":{"callbackType":"complete","task_id":%q,"data":[]}}`, id)
}

func first(id string) string {
	return fmt.Sprintf(`{"code":200,"msg":"success","data":{"callbackType":"first","task_id":%q,"data":[]}}`, id)
}

// callBack returns the status of a callback.
func callBack(t *testing.T, p *e2e.Product, provider, token, body string) int {
	status, err := p.Call(http.MethodPost, "/hooks/"+provider+"/"+token, nil, strings.NewReader(body), nil)
	if status == 0 {
		t.Errorf("call back: %v", err)
	}
	return status
}
