package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"castad/events"
)

const (
	duplicatesWindow = 10 * time.Minute
	gib              = 1 << 30
)

// Ensure declares the streams and consumers. It may be called as often as one likes: by every program at its start,
// and whenever the broker answers that it doesn't know one of them, because a broker that lost its disk comes back empty.
func (b *Broker) Ensure(ctx context.Context) error {
	err := b.ensure(ctx)
	b.mu.Lock()
	b.trial = err
	b.mu.Unlock()
	return err
}

func (b *Broker) ensure(ctx context.Context) error {
	for _, cfg := range b.streams() {
		if _, err := b.js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return fmt.Errorf("declare stream %s: %w", cfg.Name, err)
		}
	}
	for _, stage := range events.Stages {
		if err := b.ensureConsumer(ctx, stage); err != nil {
			return fmt.Errorf("declare consumer %s: %w", stage, err)
		}
	}
	return nil
}

// ensureConsumer lets a stage's own programs set its limits; all others only see to it that it is there, so that work
// is kept for a stage that has never run.
func (b *Broker) ensureConsumer(ctx context.Context, stage events.Stage) error {
	stream := b.settings.Names.WorkStream()
	if stage != b.settings.Stage {
		_, err := b.js.Consumer(ctx, stream, string(stage))
		if !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
	}
	_, err := b.js.CreateOrUpdateConsumer(ctx, stream, b.consumer(stage))
	if spoiled(err) {
		return fmt.Errorf("%w: %w", ErrSpoiled, err)
	}
	return err
}

// ErrSpoiled is returned where the broker can't open what its disk holds of a consumer, such as a state that was cut off
// while it was written, by a power cut. The broker neither makes such a consumer nor removes it: only Scrap helps.
var ErrSpoiled = errors.New("the broker can't open a consumer's store")

// spoiled knows the answer of nats-server 2.15, whose code stands for all that can be wrong with a new consumer. It doesn't
// tell a state that can't be read from a full disk; scrapping the stream is harmless then, and makes room.
func spoiled(err error) bool {
	var answer *jetstream.APIError
	return errors.As(err, &answer) && answer.ErrorCode == jetstream.JSErrCodeConsumerCreate &&
		strings.HasPrefix(answer.Description, "error creating store for consumer")
}

// Scrap removes the work stream with all that is queued and with its consumers, whatever state they are in. Nothing is
// lost by it: the rows know what is wanted, and the relay files it again on the stream that is declared next.
func (b *Broker) Scrap(ctx context.Context) error {
	if err := b.js.DeleteStream(ctx, b.settings.Names.WorkStream()); err != nil && !Missing(err) {
		return fmt.Errorf("remove the work stream: %w", err)
	}
	return nil
}

const (
	ensureRest  = 500 * time.Millisecond
	spoiledRest = 2 * time.Second // while the relay scraps the stream, others had better not make it
)

// EnsureUntil declares the streams, trying until it succeeds, meets the error that ends it, or the context ends.
func (b *Broker) EnsureUntil(ctx context.Context, ends ...error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := b.Ensure(attempt)
		cancel()
		if err == nil || slices.ContainsFunc(ends, func(end error) bool { return errors.Is(err, end) }) {
			return err
		}
		rest := ensureRest
		if errors.Is(err, ErrSpoiled) {
			rest = spoiledRest
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rest):
		}
	}
}

func (b *Broker) streams() []jetstream.StreamConfig {
	n := b.settings.Names
	return []jetstream.StreamConfig{{
		Name: n.WorkStream(), Description: "what is wanted: a message is a run to look at; what is here is left to do",
		Subjects: []string{n.WorkFilter("*")}, Retention: jetstream.WorkQueuePolicy,
		// A full stream refuses, and the rows keep what is wanted. Dropping the oldest would lose it without a word.
		Discard: jetstream.DiscardNew, MaxMsgs: 1_000_000, MaxBytes: gib, MaxMsgSize: 16 << 10,
		Duplicates: duplicatesWindow, AllowDirect: true, Replicas: b.settings.Replicas,
	}, {
		Name: n.FactsStream(), Description: "what happened: every change of every task, in order",
		Subjects: []string{n.FactsFilter()}, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		MaxAge: 30 * 24 * time.Hour, MaxBytes: 4 * gib, MaxMsgSize: 16 << 10,
		Duplicates: duplicatesWindow, AllowDirect: true, Replicas: b.settings.Replicas,
		RePublish: &jetstream.RePublish{Source: n.Subjects + "facts.>", Destination: n.Live()},
	}, {
		Name: n.DeadStream(), Description: "what was given up on, with its cause; kept until it is replayed or dropped",
		Subjects: []string{n.DeadFilter("*")}, Retention: jetstream.LimitsPolicy,
		// One message a subject, and the subject ends in the letter's id: filing a letter twice is refused for ever.
		Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 1,
		MaxBytes: gib, MaxMsgSize: 32 << 10, AllowDirect: true, Replicas: b.settings.Replicas,
	}}
}

// consumer is the durable consumer of a stage, named like its program. Attempts are counted in the row and not by the
// broker, whose own limit would strand messages; so MaxDeliver is -1 and there is no BackOff.
func (b *Broker) consumer(stage events.Stage) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: string(stage), Description: "the " + string(stage) + " programs",
		FilterSubject: b.settings.Names.WorkFilter(stage), AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: b.settings.AckWait, MaxDeliver: -1, MaxAckPending: b.settings.Pending,
	}
}

// Consumer returns the durable consumer of a stage.
func (b *Broker) Consumer(ctx context.Context, stage events.Stage) (jetstream.Consumer, error) {
	return b.js.Consumer(ctx, b.settings.Names.WorkStream(), string(stage))
}

// AckWait is after what time without a word the broker delivers a message again.
func (b *Broker) AckWait() time.Duration { return b.settings.AckWait }

// Missing reports whether err means that a stream or consumer of ours isn't there, so that Ensure is called for.
func Missing(err error) bool {
	return errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound) ||
		errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrNoStreamResponse) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrConsumerDoesNotExist)
}

// WorkState returns when the work stream was made, and the number of its newest message. Another time, or a smaller
// number than before, means that the broker has lost messages.
func (b *Broker) WorkState(ctx context.Context) (created time.Time, last uint64, err error) {
	stream, err := b.js.Stream(ctx, b.settings.Names.WorkStream())
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("look at the work stream: %w", err)
	}
	return stream.CachedInfo().Created, stream.CachedInfo().State.LastSeq, nil
}

// Holds reports whether the work stream has the message that was delivered, under the number that it had then.
func (b *Broker) Holds(ctx context.Context, msg jetstream.Msg) (bool, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return false, fmt.Errorf("read where a message came from: %w", err)
	}
	stream, err := b.js.Stream(ctx, meta.Stream)
	if err != nil {
		return false, fmt.Errorf("look at stream %s: %w", meta.Stream, err)
	}
	there, err := stream.GetMsg(ctx, meta.Sequence.Stream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at message %d of %s: %w", meta.Sequence.Stream, meta.Stream, err)
	}
	return there.Subject == msg.Subject() && there.Time.Equal(meta.Timestamp), nil
}
