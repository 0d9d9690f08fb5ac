// Package broker is CastAD's side of NATS: it connects, declares the streams and consumers, publishes, and hears live
// facts. What the messages mean is said in events; what is done with them, in worker and relay. Start with Connect.
// The patterns behind it were tried on the real server; docs/design.md tells which.
package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"castad/events"
)

// Settings are how a program connects.
type Settings struct {
	URL      string // nats://user:password@host:port, several by commas
	Name     string // of the program, as the broker's monitoring shows it
	Names    events.Names
	Replicas int          // of streams: 1, or 3 in a cluster
	Stage    events.Stage // whose programs set their consumer's limits; "" for programs that aren't a stage
	Pending  int          // runs of the stage in work at once over all its processes; 0 means 256
	// AckWait is after what time without a word from a program of the stage its work is delivered again; 0 means 60 s. It
	// should be the lease's length: before that ends, nobody else could take the work.
	AckWait time.Duration
	Log     zerolog.Logger
}

// Broker is one connection. It is safe for concurrent use.
type Broker struct {
	settings Settings
	conn     *nats.Conn
	js       jetstream.JetStream

	stop     context.CancelFunc // of what goes on by itself
	watching sync.WaitGroup

	mu    sync.Mutex
	trial error         // the newest result of Ensure
	gone  chan struct{} // closed when the connection breaks, and made anew
}

// answerWithin is how long a publish waits for the broker's answer. A leader that steps down takes some answers with it, and
// facts stand still for as long, because of their order; what isn't answered is published again, and recognised.
const answerWithin = 5 * time.Second

const pingEvery = 5 * time.Second

// Connect prepares the connection and returns at once, also when the broker is away: it goes on trying, and Ready
// tells. What isn't acknowledged by the broker isn't published; nothing is buffered here, because the rows are.
func Connect(s Settings) (*Broker, error) {
	if s.Replicas == 0 {
		s.Replicas = 1
	}
	if s.Pending == 0 {
		s.Pending = 256
	}
	if s.AckWait == 0 {
		s.AckWait = 60 * time.Second
	}
	log := s.Log
	living, stop := context.WithCancel(context.Background())
	built := make(chan struct{}) // b is whole
	b := &Broker{settings: s, trial: errors.New("the streams haven't been declared yet"), gone: make(chan struct{})}
	conn, err := nats.Connect(s.URL,
		nats.Name(s.Name),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(250*time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingEvery), // a connection whose other end is gone without a word is noticed after three
		nats.DisconnectErrHandler(func(*nats.Conn, error) { log.Warn().Msg("broker went away"); b.broke() }),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info().Msg("broker came back"); go func() { <-built; b.restore(living) }() }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn().Err(err).Msg("broker reported an error")
		}),
	)
	if err != nil {
		stop()
		return nil, errors.New("the NATS URL isn't of the form nats://user:password@host:port")
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(unanswered), jetstream.WithPublishAsyncTimeout(answerWithin))
	if err != nil {
		stop()
		conn.Close()
		return nil, fmt.Errorf("prepare JetStream: %w", err)
	}
	b.conn, b.js, b.stop = conn, js, stop
	close(built)
	b.watching.Go(func() { b.watch(living) })
	return b, nil
}

func (b *Broker) broke() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.gone)
	b.gone = make(chan struct{})
}

// Gone returns a channel that is closed when the present connection breaks. What was asked for on it is never answered.
func (b *Broker) Gone() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gone
}

// restore declares everything again after a broken connection: the broker may have come back without its disk, and
// another program may have declared this stage's consumer meanwhile, without knowing its limits. It tries for as long as
// the new connection lives, because Ready goes by what it found.
func (b *Broker) restore(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	gone := b.Gone()
	go func() {
		select {
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	_ = b.EnsureUntil(ctx)
}

// Names returns the names in use.
func (b *Broker) Names() events.Names { return b.settings.Names }

// JetStream returns the client for what this package has no word for.
func (b *Broker) JetStream() jetstream.JetStream { return b.js }

// ErrAway is returned where the broker can't be reached.
var ErrAway = errors.New("the broker is away")

// Connected returns ErrAway while there is no connection.
func (b *Broker) Connected() error {
	if !b.conn.IsConnected() {
		return ErrAway
	}
	return nil
}

// Ready returns nil when the connection lives and the streams are as declared, and otherwise what is wrong.
func (b *Broker) Ready() error {
	if err := b.Connected(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trial
}

// Wake tells the relay to look at the rows now. It is a courtesy: the relay looks by itself every second.
func (b *Broker) Wake(owed events.Owed) { _ = b.conn.Publish(b.settings.Names.Wake(owed), nil) }

// Woken calls wake for every nudge until the context ends.
func (b *Broker) Woken(ctx context.Context, owed events.Owed, wake func()) error {
	return b.hear(ctx, b.settings.Names.Wake(owed), func(*nats.Msg) { wake() })
}

// Facts calls hear for every fact that the broker stores from now on, until the context ends. It is one core
// subscription, fed by the facts stream's republishing; what is missed while the broker is away is told by gaps in the
// facts' numbers.
func (b *Broker) Facts(ctx context.Context, hear func(events.Fact)) error {
	return b.hear(ctx, b.settings.Names.Live(), func(m *nats.Msg) {
		var fact events.Fact
		if json.Unmarshal(m.Data, &fact) == nil && fact.TaskID != "" {
			hear(fact)
		}
	})
}

// hear subscribes; the client renews the subscription by itself after a reconnect.
func (b *Broker) hear(ctx context.Context, subject string, handle nats.MsgHandler) error {
	sub, err := b.conn.Subscribe(subject, handle)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	if err := sub.SetPendingLimits(1<<20, 256<<20); err != nil {
		return fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	return nil
}

// Close sends what is still to be sent and disconnects.
func (b *Broker) Close() {
	b.stop()
	b.watching.Wait()
	_ = b.conn.FlushTimeout(2 * time.Second)
	b.conn.Close()
}
