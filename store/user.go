package store

import (
	"context"
	"fmt"
	"time"
)

// User is somebody who owns tasks.
type User struct {
	UUID      string    `db:"user_uuid"`
	Nickname  string    `db:"nickname"`
	Role      string    `db:"role"` // user | admin
	Active    bool      `db:"is_active"`
	CreatedAt time.Time `db:"created_at"`
}

const (
	upsertUser = "INSERT INTO `user` (`user_uuid`,`nickname`,`role`,`created_at`) VALUES (?,?,?,NOW(6))" +
		" ON DUPLICATE KEY UPDATE `nickname`=VALUES(`nickname`),`role`=VALUES(`role`)"
	selectUser = "SELECT `user_uuid`,`nickname`,`role`,`is_active`,`created_at` FROM `user` WHERE `user_uuid`=?"
)

// SaveUser makes a user, or changes the nickname and role of the one with that uuid.
func (db *DB) SaveUser(ctx context.Context, u User) error {
	if _, err := db.sql.ExecContext(ctx, upsertUser, u.UUID, cut(u.Nickname, 100), u.Role); err != nil {
		return fmt.Errorf("save user %s: %w", u.UUID, err)
	}
	return nil
}

// LoadUser returns a user. Errors: ErrNotFound.
func (db *DB) LoadUser(ctx context.Context, uuid string) (User, error) {
	var u User
	if err := db.sql.GetContext(ctx, &u, selectUser, uuid); err != nil {
		return User{}, fmt.Errorf("load user %s: %w", uuid, one(err))
	}
	return u, nil
}
