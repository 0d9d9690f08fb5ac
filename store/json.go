package store

import (
	"database/sql/driver"
	"encoding/json"
)

// Value writes the column.
func (j JSON[T]) Value() (driver.Value, error) {
	raw, err := json.Marshal(j.V)
	return string(raw), err
}
