package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"castad/internal/crash"
	"castad/store"
)

type hookInput struct {
	Token   string `path:"token" minLength:"1" maxLength:"64"`
	RawBody []byte
}

// addHooks registers the callbacks of providers. Each job has an unguessable address of its own, and what comes there
// is a hint to look now, never the truth.
func (s *server) addHooks(api huma.API) {
	for provider, parse := range s.Callbacks {
		op := tagged(operation(http.MethodPost, "/hooks/"+provider+"/{token}", "hook-"+provider, "Callback of "+provider), "Callbacks")
		op.DefaultStatus = http.StatusNoContent
		op.Hidden = true
		add(s, api, op, func(ctx context.Context, in *hookInput) (*struct{}, error) {
			return nil, s.hint(ctx, provider, parse, in)
		})
	}
}

const hintTimeout = 5 * time.Second

// hint takes the job's id from the body where it can be read; the call alone is enough to look.
func (s *server) hint(ctx context.Context, provider string, parse func([]byte) (string, error), in *hookInput) error {
	ctx, cancel := context.WithTimeout(ctx, hintTimeout)
	defer cancel()
	id, err := parse(in.RawBody)
	if err != nil {
		id = ""
	}
	crash.At("api", "before_hint", provider)
	err = s.DB.Hint(ctx, provider, in.Token, id)
	crash.At("api", "after_hint", provider)
	if errors.Is(err, store.ErrNotFound) {
		return problem(http.StatusNotFound, "not_found", "No job has this callback address.")
	}
	return err
}
