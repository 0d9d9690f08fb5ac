package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"castad/events"
)

// Answers of the server that mean something to us.
const (
	codeWrongLastSequence = 10071 // a message for this run is queued or in work already
	codePerSubject        = 10077 // on the dead stream: this letter is there already; on the work stream: it is full
)

const stall = 5 * time.Second

// Pending is a publish that the broker hasn't answered yet.
type Pending struct {
	future jetstream.PubAckFuture
	dead   bool
}

// File asks the broker to keep a work message, unless one for that stage and task is queued or in work.
func (b *Broker) File(w events.Wanted, eventID, traceparent string) (Pending, error) {
	event := events.CloudEvent{ID: eventID, Type: "castad." + string(w.Stage) + ".wanted", Subject: w.TaskID, At: w.WantedAt}
	return b.publish(b.settings.Names.Work(w.Stage, w.TaskID), w, event, traceparent, nil,
		jetstream.WithExpectLastSequencePerSubject(0))
}

// Tell asks the broker to keep a fact. eventID makes a second telling harmless while the broker remembers it; watchers
// go by the fact's number.
func (b *Broker) Tell(f events.Fact, eventID, traceparent string) (Pending, error) {
	event := events.CloudEvent{ID: eventID, Type: "castad." + string(f.Stage) + "." + f.What, Subject: f.TaskID, At: f.At, Sequence: f.Seq}
	return b.publish(b.settings.Names.Fact(f.TaskID, f.Stage, f.What), f, event, traceparent, nil)
}

// Letter is a dead letter with where its message came from.
type Letter struct {
	events.Dead
	Stream      string
	Subject     string
	Seq         uint64
	Consumer    string
	Program     string
	Version     string // of the program
	Traceparent string
}

// Bury asks the broker to keep a dead letter. Its subject ends in its id and holds one message, so doing it twice is
// harmless for ever.
func (b *Broker) Bury(l Letter) (Pending, error) {
	event := events.CloudEvent{ID: l.DeadID, Type: "castad." + string(l.Stage) + ".dead", Subject: l.TaskID, At: l.LastAt}
	p, err := b.publish(b.settings.Names.Dead(l.Stage, l.TaskID, l.DeadID), l.Dead, event, l.Traceparent, l.headers())
	p.dead = true
	return p, err
}

// headers repeat the letter for people with the nats command line. Nats-* headers of the original are never copied.
func (l Letter) headers() map[string]string {
	return map[string]string{
		events.HeaderCause: l.Cause, events.HeaderReason: oneLine(l.Reason), events.HeaderStage: string(l.Stage),
		events.HeaderAttempts: strconv.Itoa(l.Attempts), events.HeaderStream: l.Stream, events.HeaderSubject: l.Subject,
		events.HeaderSeq: strconv.FormatUint(l.Seq, 10), events.HeaderConsumer: l.Consumer,
		events.HeaderFirstAt: l.FirstAt.UTC().Format(time.RFC3339Nano), events.HeaderLastAt: l.LastAt.UTC().Format(time.RFC3339Nano),
		events.HeaderProgram: l.Program, events.HeaderVersion: l.Version,
	}
}

// oneLine makes text fit for a header: printable ASCII stays, all else is percent-encoded.
func oneLine(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			out.WriteByte(' ')
		case r < 0x20 || r > 0x7e:
			out.WriteString(url.PathEscape(string(r)))
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
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
	future, err := b.js.PublishMsgAsync(msg, append(opts, jetstream.WithMsgID(event.ID), jetstream.WithStallWait(stall))...)
	if err != nil {
		return Pending{}, fmt.Errorf("publish on %s: %w", subject, err)
	}
	return Pending{future: future}, nil
}

// Kept waits for the broker's answer. Without an error the broker has the message: fresh, from this publish, or, where
// it refused because it has such a message already, from an earlier one.
func (p Pending) Kept(ctx context.Context) (fresh bool, err error) {
	select {
	case <-p.future.Ok():
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
	return api.ErrorCode == codeWrongLastSequence || p.dead && api.ErrorCode == codePerSubject
}
