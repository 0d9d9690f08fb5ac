package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"castad/providers"
)

// Project is the business that a task is about: the result of crawl. A rerun of crawl replaces it.
type Project struct {
	ID               int64              `db:"id"`
	TaskID           string             `db:"task_id"`
	UserUUID         string             `db:"user_uuid"`
	PlaceID          string             `db:"place_id"` // "nv" + Naver's id; "" for a place given by hand
	StoreName        string             `db:"store_name"`
	Category         string             `db:"category"`
	Region           string             `db:"region"`
	DetailRegionInfo string             `db:"detail_region_info"`
	Address          string             `db:"address"`
	RoadAddress      string             `db:"road_address"`
	Phone            string             `db:"phone"`
	Description      string             `db:"description"`
	Facilities       JSON[[]string]     `db:"facilities"`
	LeftOut          JSON[[]LeftOut]    `db:"left_out"`
	Language         providers.Language `db:"language"`
	MarketingID      *int64             `db:"marketing_intelligence"`
}

// LeftOut is a photo that couldn't be used, and why in words: "photo_too_small: 1x1 pixels; …".
type LeftOut struct {
	URL    string `json:"url"`
	Reason string `json:"reason"`
}

// mostReason is how much is kept of why a photo was left out.
const mostReason = 300

func briefly(left []LeftOut) []LeftOut {
	if len(left) == 0 {
		return nil
	}
	out := make([]LeftOut, len(left))
	for i, l := range left {
		out[i] = LeftOut{URL: cut(l.URL, 2048), Reason: cut(l.Reason, mostReason)}
	}
	return out
}

const (
	projectColumns = "`id`,`task_id`,`user_uuid`,`place_id`,`store_name`,`category`,`region`,`detail_region_info`,`address`," +
		"`road_address`,`phone`,`description`,`facilities`,`left_out`,`language`,`marketing_intelligence`"
	upsertProject = "INSERT INTO `project` (`task_id`,`user_uuid`,`place_id`,`store_name`,`category`,`region`,`detail_region_info`," +
		"`address`,`road_address`,`phone`,`description`,`facilities`,`left_out`,`language`,`created_at`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,NOW(6))" +
		" ON DUPLICATE KEY UPDATE `place_id`=VALUES(`place_id`),`store_name`=VALUES(`store_name`),`category`=VALUES(`category`)," +
		"`region`=VALUES(`region`),`detail_region_info`=VALUES(`detail_region_info`),`address`=VALUES(`address`)," +
		"`road_address`=VALUES(`road_address`),`phone`=VALUES(`phone`),`description`=VALUES(`description`),`facilities`=VALUES(`facilities`),`left_out`=VALUES(`left_out`)"
	selectProject = "SELECT " + projectColumns + " FROM `project` WHERE `task_id`=?"
)

// SaveProject writes what a crawl found. Texts are cut to what the columns hold.
func (tx *Tx) SaveProject(ctx context.Context, p Project) error {
	_, err := tx.sql.ExecContext(ctx, upsertProject, p.TaskID, p.UserUUID, p.PlaceID, cut(p.StoreName, 200), cut(p.Category, 100),
		cut(p.Region, 100), cut(p.DetailRegionInfo, 300), cut(p.Address, 300), cut(p.RoadAddress, 300), cut(p.Phone, 40),
		cut(p.Description, 10_000), JSON[[]string]{notNil(p.Facilities.V)}, JSON[[]LeftOut]{briefly(p.LeftOut.V)}, p.Language)
	if err != nil {
		return fmt.Errorf("save project of task %s: %w", p.TaskID, err)
	}
	return nil
}

// LoadProject returns the business of a task. Errors: ErrNotFound before crawl is done.
func (db *DB) LoadProject(ctx context.Context, taskID string) (Project, error) {
	var p Project
	if err := db.sql.GetContext(ctx, &p, selectProject, taskID); err != nil {
		return Project{}, fmt.Errorf("load project of task %s: %w", taskID, one(err))
	}
	return p, nil
}

const selectFreshProject = "SELECT " + projectColumns + " FROM `project` WHERE `place_id`=? AND `created_at` > DATE_SUB(NOW(6), INTERVAL ? SECOND)" +
	" ORDER BY `id` DESC LIMIT 1"

// FindFreshProject returns what another task found at a place less than fresh ago. Errors: ErrNotFound.
func (db *DB) FindFreshProject(ctx context.Context, placeID string, fresh time.Duration) (Project, error) {
	var p Project
	if err := db.sql.GetContext(ctx, &p, selectFreshProject, placeID, int64(fresh.Seconds())); err != nil {
		return Project{}, fmt.Errorf("find a crawl of place %s: %w", placeID, one(err))
	}
	return p, nil
}

// Image is one photo, kept in the blob store.
type Image struct {
	TaskID      string `db:"task_id"`
	Revision    int    `db:"revision"`
	Position    int    `db:"position"` // from 0, the order in the video
	URL         string `db:"url"`
	SourceURL   string `db:"source_url"`
	ContentType string `db:"content_type"`
	Width       int    `db:"width"` // pixels
	Height      int    `db:"height"`
	SizeBytes   int64  `db:"size_bytes"`
}

const (
	insertImages = "INSERT INTO `image` (`task_id`,`revision`,`position`,`url`,`source_url`,`content_type`,`width`,`height`,`size_bytes`)" +
		" VALUES (:task_id,:revision,:position,:url,:source_url,:content_type,:width,:height,:size_bytes)"
	selectImages = "SELECT `task_id`,`revision`,`position`,`url`,`source_url`,`content_type`,`width`,`height`,`size_bytes` FROM `image`" +
		" WHERE `task_id`=? AND `revision`=(SELECT MAX(`revision`) FROM `image` WHERE `task_id`=?) ORDER BY `position`"
)

// SaveImages writes a crawl's photos; there must be at least one.
func (tx *Tx) SaveImages(ctx context.Context, images []Image) error {
	if _, err := tx.sql.NamedExecContext(ctx, insertImages, images); err != nil {
		return fmt.Errorf("save %d images: %w", len(images), err)
	}
	return nil
}

// LoadImages returns the photos of a task's newest crawl, in order.
func (db *DB) LoadImages(ctx context.Context, taskID string) ([]Image, error) {
	images := []Image{}
	if err := db.sql.SelectContext(ctx, &images, selectImages, taskID, taskID); err != nil {
		return nil, fmt.Errorf("load images of task %s: %w", taskID, err)
	}
	return images, nil
}

// Marketing is a marketing report.
type Marketing struct {
	ID            int64              `db:"id"`
	TaskID        string             `db:"task_id"`
	Revision      int                `db:"revision"`
	PlaceID       string             `db:"place_id"` // "" when it mustn't serve another task
	Language      providers.Language `db:"language"`
	Result        json.RawMessage    `db:"intel_result"`
	Model         string             `db:"model"`
	PromptVersion string             `db:"prompt_version"`
	PromptHash    string             `db:"prompt_hash"`
	CreatedAt     time.Time          `db:"created_at"`
}

const (
	marketingColumns = "`id`,`task_id`,`revision`,`place_id`,`language`,`intel_result`,`model`,`prompt_version`,`prompt_hash`,`created_at`"
	insertMarketing  = "INSERT INTO `marketing` (`task_id`,`revision`,`place_id`,`language`,`intel_result`,`model`,`prompt_version`,`prompt_hash`,`created_at`)" +
		" VALUES (?,?,?,?,?,?,?,?,NOW(6))"
	linkMarketing   = "UPDATE `project` SET `marketing_intelligence`=? WHERE `task_id`=?"
	selectMarketing = "SELECT m." + "`id`,m.`task_id`,m.`revision`,m.`place_id`,m.`language`,m.`intel_result`,m.`model`,m.`prompt_version`,m.`prompt_hash`,m.`created_at`" +
		" FROM `project` p JOIN `marketing` m ON m.`id`=p.`marketing_intelligence` WHERE p.`task_id`=?"
	selectFreshMarketing = "SELECT " + marketingColumns + " FROM `marketing` WHERE `place_id`=? AND `language`=? AND `created_at` > DATE_SUB(NOW(6), INTERVAL ? SECOND)" +
		" ORDER BY `created_at` DESC LIMIT 1"
)

// SaveMarketing writes a report and makes it the task's.
func (tx *Tx) SaveMarketing(ctx context.Context, m Marketing) error {
	res, err := tx.sql.ExecContext(ctx, insertMarketing, m.TaskID, m.Revision, m.PlaceID, m.Language, string(m.Result), m.Model, m.PromptVersion, m.PromptHash)
	if err != nil {
		return fmt.Errorf("save report of task %s: %w", m.TaskID, err)
	}
	id, err := res.LastInsertId()
	if err != nil {
		return fmt.Errorf("save report of task %s: %w", m.TaskID, err)
	}
	return tx.UseMarketing(ctx, m.TaskID, id)
}

// UseMarketing makes an existing report the task's.
func (tx *Tx) UseMarketing(ctx context.Context, taskID string, id int64) error {
	if _, err := tx.sql.ExecContext(ctx, linkMarketing, id, taskID); err != nil {
		return fmt.Errorf("link report %d to task %s: %w", id, taskID, err)
	}
	return nil
}

// LoadMarketing returns the task's report. Errors: ErrNotFound before intel is done.
func (db *DB) LoadMarketing(ctx context.Context, taskID string) (Marketing, error) {
	var m Marketing
	if err := db.sql.GetContext(ctx, &m, selectMarketing, taskID); err != nil {
		return Marketing{}, fmt.Errorf("load report of task %s: %w", taskID, one(err))
	}
	return m, nil
}

// FindFreshMarketing returns the newest report on a place in that language that is younger than fresh. Errors: ErrNotFound.
func (db *DB) FindFreshMarketing(ctx context.Context, placeID string, language providers.Language, fresh time.Duration) (Marketing, error) {
	var m Marketing
	if placeID == "" {
		return m, ErrNotFound
	}
	if err := db.sql.GetContext(ctx, &m, selectFreshMarketing, placeID, language, int64(fresh.Seconds())); err != nil {
		return Marketing{}, fmt.Errorf("find a report on place %s: %w", placeID, one(err))
	}
	return m, nil
}
