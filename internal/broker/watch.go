package broker

import (
	"context"
	"time"
)

const (
	watchEvery   = 2 * time.Second
	watchTimeout = time.Second
	watchPatient = 3 // failed looks: longer than an election
)

// watch leaves a node that doesn't serve JetStream for another one. A node that is cut off from the others, or whose
// process stands still, keeps the connections of its programs, and they would wait there for as long as it lasts.
func (b *Broker) watch(ctx context.Context) {
	failed := 0
	for tick := time.NewTicker(watchEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		if failed++; b.served(ctx) {
			failed = 0
		}
		if failed >= watchPatient && len(b.conn.Servers()) > 1 {
			failed = 0
			b.settings.Log.Warn().Str("node", b.conn.ConnectedUrlRedacted()).Msg("broker's node doesn't serve JetStream: trying another")
			_ = b.conn.ForceReconnect()
		}
	}
}

// served reports whether the connected node answers for JetStream. Without a connection the client looks for one itself.
func (b *Broker) served(ctx context.Context) bool {
	if !b.conn.IsConnected() {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	_, err := b.js.AccountInfo(ctx)
	return err == nil
}
