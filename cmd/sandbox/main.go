// Sandbox is every outside service that CastAD uses, free and offline, as one program.
//
// Its settings are CASTAD_SANDBOX_ADDR, _DIR, _TEMPO (real or quick), _PUBLIC_URL, _FFMPEG, _FONTS, _SOUNDFONT, and the least
// times of jobs _ANSWER, _SONG, _RENDER, _PROCESS, _HOOK ("60s"). It ends cleanly at SIGTERM.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/rs/zerolog"

	"castad/internal/observe"
	"castad/providers/sandbox"
)

type settings struct {
	Addr      string        `env:"CASTAD_SANDBOX_ADDR" envDefault:"127.0.0.1:9700"`
	Dir       string        `env:"CASTAD_SANDBOX_DIR" envDefault:".castad/sandbox"`
	Tempo     string        `env:"CASTAD_SANDBOX_TEMPO" envDefault:"real"`
	PublicURL string        `env:"CASTAD_SANDBOX_PUBLIC_URL"` // "" for http:// and the address
	FFmpeg    string        `env:"CASTAD_SANDBOX_FFMPEG" envDefault:"ffmpeg"`
	Fonts     string        `env:"CASTAD_SANDBOX_FONTS" envDefault:"/usr/share/fonts"`
	Soundfont string        `env:"CASTAD_SANDBOX_SOUNDFONT"`
	Answer    time.Duration `env:"CASTAD_SANDBOX_ANSWER"`
	Song      time.Duration `env:"CASTAD_SANDBOX_SONG"`
	Render    time.Duration `env:"CASTAD_SANDBOX_RENDER"`
	Process   time.Duration `env:"CASTAD_SANDBOX_PROCESS"`
	Hook      time.Duration `env:"CASTAD_SANDBOX_HOOK"`
}

func main() { os.Exit(observe.Run(serve)) }

func load(getenv func(string) string) (settings, error) {
	var set settings
	fields, err := env.GetFieldParams(&set)
	if err != nil {
		return set, err
	}
	values := map[string]string{}
	for _, f := range fields {
		if v := getenv(f.Key); v != "" {
			values[f.Key] = v
		}
	}
	if err := env.ParseWithOptions(&set, env.Options{Environment: values}); err != nil {
		return set, err
	}
	if set.Tempo != "real" && set.Tempo != "quick" {
		return set, fmt.Errorf("CASTAD_SANDBOX_TEMPO is %q, want real or quick", set.Tempo)
	}
	return set, nil
}

func serve(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	set, err := load(getenv)
	if err != nil {
		return err
	}
	log := zerolog.New(stderr).With().Timestamp().Logger()
	listener, err := net.Listen("tcp", set.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if set.PublicURL == "" {
		set.PublicURL = "http://" + listener.Addr().String()
	}
	quick := set.Tempo == "quick"
	movies, err := newRenderer(set)
	if err != nil {
		return errors.Join(fmt.Errorf("prepare the renderer (set CASTAD_SANDBOX_FFMPEG and CASTAD_SANDBOX_FONTS): %w", err), listener.Close())
	}
	box, err := sandbox.New(sandbox.Config{Dir: set.Dir, PublicURL: set.PublicURL, Quick: quick, FFmpeg: set.FFmpeg,
		Soundfont: set.Soundfont, Atlas: newAtlas(quick), Renderer: movies, Log: log, Durations: sandbox.Durations{Answer: set.Answer, Song: set.Song,
			Render: set.Render, Process: set.Process, Hook: set.Hook}})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: box.Handler(), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	log.Info().Str("url", set.PublicURL).Str("tempo", set.Tempo).Msg("sandbox listened")
	select {
	case err = <-done:
	case <-ctx.Done():
		stopping, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer stop()
		err = server.Shutdown(stopping)
	}
	return errors.Join(err, box.Close())
}
