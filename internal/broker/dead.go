package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"

	"castad/events"
)

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

// ErrGone means that the stream has no such dead letter (any more).
var ErrGone = errors.New("no such dead letter on the stream")

// errAway is what can't be asked now.
var errAway = errors.New("the broker is away")

const (
	mostText  = 2 << 10
	mostToken = 64
)

// Head returns the beginning of a text from outside, short enough to stand in a dead letter several times.
func Head(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), mostText)], "\uFFFD")
}

// Token makes text from outside a part of a dead letter's subject: letters, digits, _ and - stay, of the first 64.
func Token(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, text[:min(len(text), mostToken)])
	return cmp.Or(clean, "none")
}

// Bury asks the broker to keep a dead letter. Its subject ends in its id and holds one message, so doing it twice is
// harmless for ever. It has no de-duplication id: the broker would answer "I had that" also for one that was removed.
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
		events.HeaderAttempts: strconv.Itoa(l.Attempts), events.HeaderStream: l.Stream, events.HeaderSubject: oneLine(Head(l.Subject)),
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

// DeadCreated returns when the dead stream was made: another time than before means that it has lost its messages.
func (b *Broker) DeadCreated(ctx context.Context) (time.Time, error) {
	stream, err := b.deadStream(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return stream.CachedInfo().Created, nil
}

func (b *Broker) deadStream(ctx context.Context) (jetstream.Stream, error) {
	if !b.conn.IsConnected() {
		return nil, errAway
	}
	stream, err := b.js.Stream(ctx, b.settings.Names.DeadStream())
	if err != nil {
		return nil, fmt.Errorf("look at the dead stream: %w", err)
	}
	return stream, nil
}

// DeadRefs returns what is on the dead stream, sorted by id: of one stage, one task and one id, or of all where these
// are "". It reads subjects and no messages.
func (b *Broker) DeadRefs(ctx context.Context, like events.DeadRef) ([]events.DeadRef, error) {
	if !token(string(like.Stage)) || !token(like.TaskID) || !token(like.DeadID) {
		return nil, nil
	}
	stream, err := b.deadStream(ctx)
	if err != nil {
		return nil, err
	}
	filter := b.settings.Names.Dead(cmp.Or(like.Stage, "*"), cmp.Or(like.TaskID, "*"), cmp.Or(like.DeadID, "*"))
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, fmt.Errorf("list the dead stream: %w", err)
	}
	refs := make([]events.DeadRef, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		if ref, err := b.settings.Names.ParseDead(subject); err == nil {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, func(x, y events.DeadRef) int {
		return strings.Compare(x.DeadID+" "+x.TaskID+" "+string(x.Stage), y.DeadID+" "+y.TaskID+" "+string(y.Stage))
	})
	return refs, nil
}

// token reports whether text can be a part of a subject, so that what people type can't become a pattern.
func token(text string) bool {
	return len(text) <= 200 && utf8.ValidString(text) && !strings.ContainsAny(text, ".*> \t\r\n\x00")
}

func literal(ref events.DeadRef) bool {
	return ref.Stage != "" && ref.TaskID != "" && ref.DeadID != "" && token(string(ref.Stage)) && token(ref.TaskID) && token(ref.DeadID)
}

// CauseStrange is the cause that LoadLetter gives to a message on the dead stream that no program of ours has written.
const CauseStrange = "not_a_dead_letter"

// LoadLetter reads a letter from the dead stream. Errors: ErrGone.
func (b *Broker) LoadLetter(ctx context.Context, ref events.DeadRef) (Letter, error) {
	stream, err := b.deadStream(ctx)
	if err != nil {
		return Letter{}, err
	}
	msg, err := stream.GetLastMsgForSubject(ctx, b.settings.Names.Dead(ref.Stage, ref.TaskID, ref.DeadID))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Letter{}, ErrGone
	}
	if err != nil {
		return Letter{}, fmt.Errorf("read dead letter %s: %w", ref.DeadID, err)
	}
	return readLetter(ref, msg), nil
}

// readLetter believes the subject more than the body, which anybody may have written.
func readLetter(ref events.DeadRef, msg *jetstream.RawStreamMsg) Letter {
	l := Letter{}
	if err := json.Unmarshal(msg.Data, &l.Dead); err != nil || l.Cause == "" {
		l.Dead = events.Dead{Cause: CauseStrange, Reason: "no program of ours has written this message", FirstAt: msg.Time,
			LastAt: msg.Time, Body: Head(string(msg.Data))}
	}
	l.Stage, l.TaskID, l.DeadID = ref.Stage, ref.TaskID, ref.DeadID
	l.Stream, l.Subject = msg.Header.Get(events.HeaderStream), msg.Header.Get(events.HeaderSubject)
	l.Seq, _ = strconv.ParseUint(msg.Header.Get(events.HeaderSeq), 10, 64) // 0 for what isn't a number
	l.Consumer, l.Program, l.Version = msg.Header.Get(events.HeaderConsumer), msg.Header.Get(events.HeaderProgram), msg.Header.Get(events.HeaderVersion)
	l.Traceparent = msg.Header.Get(events.HeaderTrace)
	return l
}

// Unbury removes letters from the dead stream, and calls gone for each that isn't there any more. Removing one that
// isn't there is no error, so it may be done again after a crash.
func (b *Broker) Unbury(ctx context.Context, refs []events.DeadRef, gone func(events.DeadRef)) error {
	stream, err := b.deadStream(ctx)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if !literal(ref) {
			return fmt.Errorf("remove dead letter %q from the stream: its subject is a pattern", ref.DeadID)
		}
		err := stream.Purge(ctx, jetstream.WithPurgeSubject(b.settings.Names.Dead(ref.Stage, ref.TaskID, ref.DeadID)))
		if err != nil {
			return fmt.Errorf("remove dead letter %s from the stream: %w", ref.DeadID, err)
		}
		gone(ref)
	}
	return nil
}
