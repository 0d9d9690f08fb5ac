package relay

import (
	"fmt"

	"castad/events"
	"castad/internal/broker"
	"castad/store"
)

// File asks the broker to keep a work message for a run that is due.
func File(b *broker.Broker, d store.Due) (broker.Pending, error) {
	wanted := events.Wanted{Version: events.SchemaVersion, TaskID: d.TaskID, Stage: d.Stage, Revision: d.Revision,
		Reason: reason(d), WantedAt: d.DueAt}
	// The due time is another one at each filing, so the broker takes two filings of one run for two messages.
	id := fmt.Sprintf("%s.%s.%d.%d", d.TaskID, d.Stage, d.Revision, d.DueAt.UnixMicro())
	return b.File(wanted, id, d.Traceparent)
}

func reason(d store.Due) string {
	switch {
	case d.Filings > 0:
		return events.ReasonAgain
	case d.Status == "pending" && d.Attempt == 0:
		return events.ReasonNew
	}
	return events.ReasonDue
}

// AtOnce is for store.DB.File: the process that has made a run due files it itself, and doesn't wait for the broker's
// answer. What the broker doesn't get, because it is away or has too much to do, the relay files.
func AtOnce(b *broker.Broker) func(store.Due) {
	return func(d store.Due) {
		if !b.Busy() {
			_, _ = File(b, d)
		}
	}
}
