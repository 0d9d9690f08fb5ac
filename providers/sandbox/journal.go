package sandbox

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// keepRows bounds each table in memory; the oldest rows are forgotten, as providers do after weeks.
const keepRows = 60_000

// journal is an append-only file of rows. What was written survives the end of the process, not a power cut.
type journal struct {
	path   string
	mu     sync.Mutex
	file   *os.File
	tables map[string]replayed
}

// entry is one line. Number counts the rows of a table from 1, so that ids never repeat.
type entry struct {
	Table  string          `json:"t"`
	ID     string          `json:"id"`
	Number uint64          `json:"n"`
	Row    json.RawMessage `json:"row"`
}

type replayed interface {
	replay(e entry) error
	snapshot(write func(entry) error) error
}

// open reads the file, writes it anew without outdated rows, and keeps it open for appending.
func (j *journal) open() error {
	if err := j.read(); err != nil {
		return err
	}
	return j.compact()
}

// read stops at the first line that was cut off by a crash.
func (j *journal) read() error {
	f, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	defer f.Close()
	dec := json.NewDecoder(bufio.NewReaderSize(f, 1<<20))
	for {
		var e entry
		if err := dec.Decode(&e); err != nil {
			return nil
		}
		if t, ok := j.tables[e.Table]; ok {
			if err := t.replay(e); err != nil {
				return fmt.Errorf("replay %s %s: %w", e.Table, e.ID, err)
			}
		}
	}
}

func (j *journal) compact() error {
	f, err := os.Create(j.path + ".new")
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, t := range j.tables {
		if err := t.snapshot(func(e entry) error { return enc.Encode(e) }); err != nil {
			return errors.Join(fmt.Errorf("write journal: %w", err), f.Close())
		}
	}
	if err := errors.Join(w.Flush(), os.Rename(j.path+".new", j.path)); err != nil {
		return errors.Join(fmt.Errorf("write journal: %w", err), f.Close())
	}
	j.file = f
	return nil
}

func (j *journal) append(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err = j.file.Write(append(line, '\n'))
	return err
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

// table is one kind of rows by id. Rows are values: Find gives a copy.
type table[T any] struct {
	journal *journal
	name    string
	mu      sync.Mutex
	rows    map[string]T
	numbers map[string]uint64
	order   []string // oldest first
	last    uint64
}

func newTable[T any](j *journal, name string) *table[T] {
	t := &table[T]{journal: j, name: name, rows: map[string]T{}, numbers: map[string]uint64{}}
	j.tables[name] = t
	return t
}

// add gives build a number that was never used before and keeps the row under the id that it returns.
func (t *table[T]) add(build func(n uint64) (id string, row T)) (string, error) {
	n := t.number()
	id, row := build(n)
	return id, t.keep(id, n, row)
}

// number gives a number as add would, to a row that needs a file of its own first; keep keeps that row. A number whose
// row is never kept may be given again after a restart.
func (t *table[T]) number() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	return t.last
}

func (t *table[T]) keep(id string, n uint64, row T) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(id, n, row)
	return t.write(id)
}

func (t *table[T]) put(id string, n uint64, row T) {
	if _, ok := t.rows[id]; !ok {
		t.order = append(t.order, id)
	}
	t.rows[id], t.numbers[id] = row, n
	if len(t.order) > keepRows {
		delete(t.rows, t.order[0])
		delete(t.numbers, t.order[0])
		t.order = t.order[1:]
	}
}

func (t *table[T]) write(id string) error {
	b, err := json.Marshal(t.rows[id])
	if err != nil {
		return err
	}
	return t.journal.append(entry{Table: t.name, ID: id, Number: t.numbers[id], Row: b})
}

func (t *table[T]) find(id string) (T, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row, ok := t.rows[id]
	return row, ok
}

// change edits a row in place and keeps it; an unknown id changes nothing.
func (t *table[T]) change(id string, edit func(*T)) (T, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row, ok := t.rows[id]
	if !ok {
		return row, nil
	}
	edit(&row)
	t.rows[id] = row
	return row, t.write(id)
}

// all gives each row to look, oldest first.
func (t *table[T]) all(look func(id string, row T) error) error {
	for _, id := range slices.Backward(t.recent(keepRows)) {
		if row, ok := t.find(id); ok {
			if err := look(id, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// recent returns up to limit ids, newest first.
func (t *table[T]) recent(limit int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := make([]string, 0, min(limit, len(t.order)))
	for i := len(t.order) - 1; i >= 0 && len(ids) < limit; i-- {
		ids = append(ids, t.order[i])
	}
	return ids
}

func (t *table[T]) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.rows)
}

func (t *table[T]) replay(e entry) error {
	var row T
	if err := json.Unmarshal(e.Row, &row); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = max(t.last, e.Number)
	t.put(e.ID, e.Number, row)
	return nil
}

func (t *table[T]) snapshot(write func(entry) error) error {
	for _, id := range t.order {
		b, err := json.Marshal(t.rows[id])
		if err != nil {
			return err
		}
		if err := write(entry{Table: t.name, ID: id, Number: t.numbers[id], Row: b}); err != nil {
			return err
		}
	}
	return nil
}

// hexID makes a row's id from its number: the same in every run of the same requests.
func hexID(kind string, n uint64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, n))
	return hex.EncodeToString(sum[:16])
}

// uuidID is hexID in the form of a version 4 UUID.
func uuidID(kind string, n uint64) string {
	h := hexID(kind, n)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:32]
}
