package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"castad/events"
)

// Answers of the server that mean something to us.
const (
	codeWrongLastSequence = 10071 // a message for this run is queued or in work already
	codeNotStored         = 10077 // the stream is full; or, on the dead stream, this letter is there already
)

// perSubject is the text by which the server's one code for "not stored" tells a letter that is there from a stream that is
// full (nats-server 2.15, server/store.go). A letter that a full stream has refused must not count as filed.
const perSubject = "maximum messages per subject exceeded"

const stall = 5 * time.Second

// unanswered is how many publishes may wait for the broker's answer before the next one stalls.
const unanswered = 1024

// Busy reports whether a publish might have to wait for the broker.
func (b *Broker) Busy() bool { return b.js.PublishAsyncPending() >= unanswered/2 }

// Pending is a publish that the broker hasn't answered yet.
type Pending struct {
	future jetstream.PubAckFuture
	dead   bool
	seq    *uint64
}

// Seq returns the number that the stream gave to the message: after Kept said that it is fresh, and else 0.
func (p Pending) Seq() uint64 { return *p.seq }

// File asks the broker to keep a work message, unless one for that stage and task is queued or in work.
func (b *Broker) File(w events.Wanted, eventID, traceparent string) (Pending, error) {
	event := events.CloudEvent{ID: eventID, Type: "castad." + string(w.Stage) + ".wanted", Subject: w.TaskID, At: w.WantedAt}
	return b.publish(b.settings.Names.Work(w.Stage, w.TaskID), w, event, traceparent, nil,
		jetstream.WithMsgID(eventID), jetstream.WithExpectLastSequencePerSubject(0))
}

// Tell asks the broker to keep a fact. eventID makes a second telling harmless while the broker remembers it; watchers
// go by the fact's number.
func (b *Broker) Tell(f events.Fact, eventID, traceparent string) (Pending, error) {
	event := events.CloudEvent{ID: eventID, Type: "castad." + string(f.Stage) + "." + f.What, Subject: f.TaskID, At: f.At, Sequence: f.Seq}
	return b.publish(b.settings.Names.Fact(f.TaskID, f.Stage, f.What), f, event, traceparent, nil, jetstream.WithMsgID(eventID))
}

func (b *Broker) publish(subject string, body any, event events.CloudEvent, traceparent string, more map[string]string, opts ...jetstream.PublishOpt) (Pending, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return Pending{}, fmt.Errorf("encode a message for %s: %w", subject, err)
	}
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	for _, headers := range []map[string]string{event.Headers(), more} {
		for name, value := range headers {
			msg.Header[name] = []string{value}
		}
	}
	if traceparent != "" {
		msg.Header[events.HeaderTrace] = []string{traceparent}
	}
	future, err := b.js.PublishMsgAsync(msg, append(opts, jetstream.WithStallWait(stall))...)
	if err != nil {
		return Pending{}, fmt.Errorf("publish on %s: %w", subject, err)
	}
	return Pending{future: future, seq: new(uint64)}, nil
}

// Acknowledge tells the broker that messages were dealt with, and returns when it says that it has heard: the answer to the
// last says so for those before it, which the broker takes in their order. It may be repeated.
func (b *Broker) Acknowledge(ctx context.Context, messages []jetstream.Msg) error {
	last := len(messages) - 1
	for _, msg := range messages[:last] {
		if err := b.conn.Publish(msg.Reply(), ackWord); err != nil {
			return fmt.Errorf("acknowledge %d messages: %w", len(messages), err)
		}
	}
	if _, err := b.conn.RequestWithContext(ctx, messages[last].Reply(), ackWord); err != nil {
		return fmt.Errorf("acknowledge %d messages: %w", len(messages), err)
	}
	return nil
}

// ackWord is the body of an acknowledgement (NATS ADR-15).
var ackWord = []byte("+ACK")

// Kept waits for the broker's answer. Without an error the broker has the message: fresh, from this publish, or, where
// it refused because it has such a message already, from an earlier one.
func (p Pending) Kept(ctx context.Context) (fresh bool, err error) {
	select {
	case ack := <-p.future.Ok():
		if !ack.Duplicate {
			*p.seq = ack.Sequence
		}
		return true, nil
	case err := <-p.future.Err():
		if p.already(err) {
			return false, nil
		}
		return false, fmt.Errorf("publish on %s: %w", p.future.Msg().Subject, err)
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// already reports whether the refusal means that the message is there.
func (p Pending) already(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return false
	}
	return api.ErrorCode == codeWrongLastSequence || p.dead && api.ErrorCode == codeNotStored && api.Description == perSubject
}
