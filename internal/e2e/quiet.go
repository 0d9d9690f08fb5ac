package e2e

import (
	"time"

	"castad/internal/testkit"
)

const selectActive = "SELECT (SELECT COUNT(*) FROM `stage_run` WHERE `status` IN ('processing','waiting'))" +
	" + (SELECT COUNT(*) FROM `provider_job` WHERE `status` IN ('planned','sent','accepted','unknown') AND `price_micros` > 0 AND `sent_at` IS NOT NULL)"

// Quiet waits until nobody works on anything and all that was ordered is settled.
func (p *Product) Quiet() {
	p.t.Helper()
	rows := p.Rows(p.t)
	quiet := time.Time{}
	testkit.Eventually(p.t, "all work has ended", func() bool {
		var active int
		if rows.QueryRow(selectActive).Scan(&active) != nil || active > 0 {
			quiet = time.Time{}
			return false
		}
		if quiet.IsZero() {
			quiet = time.Now()
		}
		return time.Since(quiet) > time.Second // a worker whose run was taken away may still be on its way out
	})
}
