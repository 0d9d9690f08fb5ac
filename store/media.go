package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"castad/providers"
)

// Lyric is what is sung.
type Lyric struct {
	ID            int64              `db:"id"`
	TaskID        string             `db:"task_id"`
	Revision      int                `db:"revision"`
	Language      providers.Language `db:"language"`
	Title         string             `db:"title"`
	Lines         json.RawMessage    `db:"lines"`  // prompts.Lyric's lines
	Origin        string             `db:"origin"` // model | owner
	Model         string             `db:"model"`
	PromptVersion string             `db:"prompt_version"`
	PromptHash    string             `db:"prompt_hash"`
	CreatedAt     time.Time          `db:"created_at"`
}

const (
	lyricColumns = "`id`,`task_id`,`revision`,`language`,`title`,`lines`,`origin`,`model`,`prompt_version`,`prompt_hash`,`created_at`"
	insertLyric  = "INSERT INTO `lyric` (`task_id`,`revision`,`language`,`title`,`lines`,`origin`,`model`,`prompt_version`,`prompt_hash`,`created_at`)" +
		" VALUES (?,?,?,?,?,?,?,?,?,NOW(6))"
	selectLyric = "SELECT " + lyricColumns + " FROM `lyric` WHERE `task_id`=? ORDER BY `revision` DESC LIMIT 1"
)

// SaveLyric writes the lyrics of a run.
func (tx *Tx) SaveLyric(ctx context.Context, l Lyric) error {
	_, err := tx.sql.ExecContext(ctx, insertLyric, l.TaskID, l.Revision, l.Language, cut(l.Title, 200), string(l.Lines), l.Origin,
		l.Model, l.PromptVersion, l.PromptHash)
	if err != nil {
		return fmt.Errorf("save lyrics of task %s: %w", l.TaskID, err)
	}
	return nil
}

// LoadLyric returns the task's newest lyrics. Errors: ErrNotFound.
func (db *DB) LoadLyric(ctx context.Context, taskID string) (Lyric, error) {
	var l Lyric
	if err := db.sql.GetContext(ctx, &l, selectLyric, taskID); err != nil {
		return Lyric{}, fmt.Errorf("load lyrics of task %s: %w", taskID, one(err))
	}
	return l, nil
}

// Song is a song with its audio in the blob store.
type Song struct {
	ID        int64                  `db:"id"`
	TaskID    string                 `db:"task_id"`
	Revision  int                    `db:"revision"`
	JobID     string                 `db:"job_id"`  // the provider's
	ClipID    string                 `db:"clip_id"` // the chosen one of Clips
	Clips     JSON[[]providers.Clip] `db:"clips"`
	Style     string                 `db:"style"`
	URL       string                 `db:"song_result_url"`
	Seconds   float64                `db:"seconds"`
	Alignment float64                `db:"alignment"` // 0..1: how sure the times of the lines are
	CreatedAt time.Time              `db:"created_at"`
	Lines     []providers.Line       `db:"-"`
}

const (
	songColumns = "`id`,`task_id`,`revision`,`job_id`,`clip_id`,`clips`,`style`,`song_result_url`,`seconds`,`alignment`,`created_at`"
	insertSong  = "INSERT INTO `song` (`task_id`,`revision`,`job_id`,`clip_id`,`clips`,`style`,`song_result_url`,`seconds`,`alignment`,`created_at`)" +
		" VALUES (?,?,?,?,?,?,?,?,?,NOW(6))"
	insertTimes = "INSERT INTO `song_timestamp` (`song_id`,`line_no`,`word_no`,`text`,`start_seconds`,`end_seconds`)" +
		" VALUES (:song_id,:line_no,:word_no,:text,:start_seconds,:end_seconds)"
	selectSong  = "SELECT " + songColumns + " FROM `song` WHERE `task_id`=? ORDER BY `revision` DESC LIMIT 1"
	selectTimes = "SELECT `song_id`,`line_no`,`word_no`,`text`,`start_seconds`,`end_seconds` FROM `song_timestamp`" +
		" WHERE `song_id`=? ORDER BY `line_no`,`word_no`"
)

// timeRow is a row of song_timestamp: word 0 is the line itself.
type timeRow struct {
	SongID int64   `db:"song_id"`
	Line   int     `db:"line_no"`
	Word   int     `db:"word_no"`
	Text   string  `db:"text"`
	Start  float64 `db:"start_seconds"`
	End    float64 `db:"end_seconds"`
}

// SaveSong writes the song of a run with the times of its lines and words.
func (tx *Tx) SaveSong(ctx context.Context, s Song) error {
	res, err := tx.sql.ExecContext(ctx, insertSong, s.TaskID, s.Revision, s.JobID, s.ClipID, JSON[[]providers.Clip]{notNil(s.Clips.V)},
		cut(s.Style, 1000), s.URL, s.Seconds, s.Alignment)
	if err != nil {
		return fmt.Errorf("save song of task %s: %w", s.TaskID, err)
	}
	id, err := res.LastInsertId()
	if err != nil {
		return fmt.Errorf("save song of task %s: %w", s.TaskID, err)
	}
	rows := timeRows(id, s.Lines)
	if len(rows) == 0 {
		return nil
	}
	if _, err := tx.sql.NamedExecContext(ctx, insertTimes, rows); err != nil {
		return fmt.Errorf("save the times of the song of task %s: %w", s.TaskID, err)
	}
	return nil
}

func timeRows(songID int64, lines []providers.Line) []timeRow {
	var rows []timeRow
	for i, line := range lines {
		rows = append(rows, timeRow{songID, i + 1, 0, cut(line.Text, 500), line.Start, line.End})
		for j, word := range line.Words {
			rows = append(rows, timeRow{songID, i + 1, j + 1, cut(word.Text, 500), word.Start, word.End})
		}
	}
	return rows
}

// LoadSong returns the task's newest song with its lines. Errors: ErrNotFound.
func (db *DB) LoadSong(ctx context.Context, taskID string) (Song, error) {
	var s Song
	if err := db.sql.GetContext(ctx, &s, selectSong, taskID); err != nil {
		return Song{}, fmt.Errorf("load song of task %s: %w", taskID, one(err))
	}
	var rows []timeRow
	if err := db.sql.SelectContext(ctx, &rows, selectTimes, s.ID); err != nil {
		return Song{}, fmt.Errorf("load the times of song %d: %w", s.ID, err)
	}
	for _, row := range rows {
		if row.Word == 0 {
			s.Lines = append(s.Lines, providers.Line{Text: row.Text, Start: row.Start, End: row.End})
			continue
		}
		line := &s.Lines[len(s.Lines)-1]
		line.Words = append(line.Words, providers.Word{Text: row.Text, Start: row.Start, End: row.End})
	}
	return s, nil
}

// Video is a finished video with its file in the blob store.
type Video struct {
	ID        int64     `db:"id"`
	TaskID    string    `db:"task_id"`
	Revision  int       `db:"revision"`
	UserUUID  string    `db:"user_uuid"`
	Status    string    `db:"status"`
	RenderID  string    `db:"render_id"` // the provider's
	MovieURL  string    `db:"result_movie_url"`
	CoverURL  string    `db:"cover_url"`
	Seconds   float64   `db:"seconds"`
	Width     int       `db:"width"`
	Height    int       `db:"height"`
	Deleted   bool      `db:"is_deleted"`
	CreatedAt time.Time `db:"created_at"`
}

const (
	videoColumns = "`id`,`task_id`,`revision`,`user_uuid`,`status`,`render_id`,`result_movie_url`,`cover_url`,`seconds`,`width`,`height`,`is_deleted`,`created_at`"
	insertVideo  = "INSERT INTO `video` (`task_id`,`revision`,`user_uuid`,`status`,`render_id`,`result_movie_url`,`cover_url`,`seconds`,`width`,`height`,`created_at`)" +
		" VALUES (?,?,?,'completed',?,?,?,?,?,?,NOW(6))"
	selectVideo = "SELECT " + videoColumns + " FROM `video` WHERE `task_id`=? ORDER BY `revision` DESC LIMIT 1"
)

// SaveVideo writes the video of a run.
func (tx *Tx) SaveVideo(ctx context.Context, v Video) error {
	_, err := tx.sql.ExecContext(ctx, insertVideo, v.TaskID, v.Revision, v.UserUUID, v.RenderID, v.MovieURL, v.CoverURL, v.Seconds, v.Width, v.Height)
	if err != nil {
		return fmt.Errorf("save video of task %s: %w", v.TaskID, err)
	}
	return nil
}

// LoadVideo returns the task's newest video. Errors: ErrNotFound.
func (db *DB) LoadVideo(ctx context.Context, taskID string) (Video, error) {
	var v Video
	if err := db.sql.GetContext(ctx, &v, selectVideo, taskID); err != nil {
		return Video{}, fmt.Errorf("load video of task %s: %w", taskID, one(err))
	}
	return v, nil
}
