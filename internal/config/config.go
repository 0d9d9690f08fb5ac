// Package config reads each program's settings from the environment: once, at the start, all mistakes reported
// together with the variables' names. Inside, values arrive as fields; no other package reads the environment.
package config

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"castad/events"
	"castad/providers"
)

// Common is what every program of the pipeline needs.
type Common struct {
	MySQL    Secret `env:"CASTAD_MYSQL_DSN,required,notEmpty"` // user:password@tcp(host:port)/database
	MySQLMax int    `env:"CASTAD_MYSQL_CONNECTIONS" envDefault:"12"`
	NATS     Secret `env:"CASTAD_NATS_URL,required,notEmpty"` // nats://user:password@host:port, several by commas
	Prefix   string `env:"CASTAD_PREFIX" envDefault:"castad"` // of streams and subjects, for tenants and tests
	Replicas int    `env:"CASTAD_NATS_REPLICAS" envDefault:"1"`
	LogLevel string `env:"CASTAD_LOG_LEVEL" envDefault:"info"`
	Health   string `env:"CASTAD_HEALTH_ADDR"` // host:port of /healthz, /readyz and /metrics; "" for none

	Flight   time.Duration `env:"CASTAD_FLIGHT" envDefault:"30s"`    // what a paused process may add to a paid call's own time limit
	AskAgain time.Duration `env:"CASTAD_ASK_AGAIN" envDefault:"30s"` // between two questions about a call of unknown outcome

	// Caps on what is held and spent, in micro-dollars; 0 is none. Days are in UTC.
	TaskCap    int64 `env:"CASTAD_CAP_TASK_MICROS"`
	UserDayCap int64 `env:"CASTAD_CAP_USER_DAY_MICROS"`
	DayCap     int64 `env:"CASTAD_CAP_DAY_MICROS"`
}

// Names returns the names on the broker.
func (c Common) Names() (events.Names, error) { return events.Prefixed(c.Prefix) }

// Worker is what a consumer needs beside its stage's own settings.
type Worker struct {
	Slots    int           `env:"CASTAD_SLOTS" envDefault:"16"`    // runs worked on at once by one process
	Pending  int           `env:"CASTAD_PENDING" envDefault:"256"` // and by all processes of the stage together
	Lease    time.Duration `env:"CASTAD_LEASE" envDefault:"60s"`
	Attempts int           `env:"CASTAD_ATTEMPTS" envDefault:"8"`
	First    time.Duration `env:"CASTAD_BACKOFF_FIRST" envDefault:"2s"`
	Most     time.Duration `env:"CASTAD_BACKOFF_MOST" envDefault:"5m"`
	Grace    time.Duration `env:"CASTAD_GRACE" envDefault:"20s"` // for running work when the program is told to end
}

// OpenAI are the settings of the language model.
type OpenAI struct {
	URL     string        `env:"CASTAD_OPENAI_URL" envDefault:"https://api.openai.com/v1"`
	Key     Secret        `env:"CASTAD_OPENAI_KEY"`
	Timeout time.Duration `env:"CASTAD_OPENAI_TIMEOUT" envDefault:"20s"` // of the call that starts an answer; its id comes at once
	Look    time.Duration `env:"CASTAD_OPENAI_LOOK" envDefault:"4s"`     // between two looks at an answer
	Longest time.Duration `env:"CASTAD_OPENAI_LONGEST" envDefault:"15m"` // that an answer may take; a call that shows nothing after it came to nothing
	Repeat  bool          `env:"CASTAD_OPENAI_REPEAT_UNKNOWN"`           // don't wait that long: a double costs cents
	Prompts string        `env:"CASTAD_PROMPTS_DIR"`                     // templates that replace the built-in ones
	Model   string        `env:"CASTAD_OPENAI_MODEL"`                    // instead of the one that a template names
}

// Prices are what providers charge, in millionths of a US dollar: held before a call, shown as an estimate, and written
// into the ledger.
type Prices struct {
	Tokens providers.TokenPrices `env:"CASTAD_OPENAI_PRICES" envDefault:"*=250000/2000000"` // model=input/output of a million tokens, by commas; * for all others
	Song   int64                 `env:"CASTAD_SUNO_PRICE_MICROS" envDefault:"60000"`        // of an order, which makes two clips
	Credit int64                 `env:"CASTAD_CREATOMATE_CREDIT_MICROS" envDefault:"20000"`
}

// Blob is where files are kept.
type Blob struct {
	Connection Secret        `env:"CASTAD_BLOB_CONNECTION,required,notEmpty"` // an Azure Storage connection string
	Container  string        `env:"CASTAD_BLOB_CONTAINER" envDefault:"media"`
	Signed     time.Duration `env:"CASTAD_BLOB_SIGNED"` // life of signed URLs; 0 for a public container
}

// Fetch guards requests to addresses that others named.
type Fetch struct {
	Allow []string `env:"CASTAD_FETCH_ALLOW"` // host:port, by commas, that may be fetched although they aren't public
}

// Callbacks is where providers reach us.
type Callbacks struct {
	PublicURL string `env:"CASTAD_PUBLIC_URL" envDefault:"http://127.0.0.1:8080"`
}

// Hook returns the address of a provider's callbacks; a job's token is added to it.
func (c Callbacks) Hook(provider string) string {
	return strings.TrimSuffix(c.PublicURL, "/") + "/hooks/" + provider + "/"
}

// Naver are the addresses and keys of the place source.
type Naver struct {
	GraphQL      string `env:"CASTAD_NAVER_GRAPHQL_URL"`
	Page         string `env:"CASTAD_NAVER_PAGE_URL"`
	Short        string `env:"CASTAD_NAVER_SHORT_URL"`
	Map          string `env:"CASTAD_NAVER_MAP_URL"`
	Search       string `env:"CASTAD_NAVER_SEARCH_URL"`
	ClientID     Secret `env:"CASTAD_NAVER_CLIENT_ID"`
	ClientSecret Secret `env:"CASTAD_NAVER_CLIENT_SECRET"`
	// Interval is the least time between two requests of one process: Naver locks out who comes faster.
	Interval time.Duration `env:"CASTAD_NAVER_INTERVAL" envDefault:"500ms"`
}

// Suno are the settings of the song maker.
type Suno struct {
	URL       string        `env:"CASTAD_SUNO_URL" envDefault:"https://api.sunoapi.org"`
	Key       Secret        `env:"CASTAD_SUNO_KEY"`
	Model     string        `env:"CASTAD_SUNO_MODEL" envDefault:"V4_5"`
	FirstLook time.Duration `env:"CASTAD_SUNO_FIRST_LOOK" envDefault:"25s"` // after the order; 0 looks at once
	Look      time.Duration `env:"CASTAD_SUNO_LOOK" envDefault:"15s"`
}

// Creatomate are the settings of the cloud renderer.
type Creatomate struct {
	URL       string        `env:"CASTAD_CREATOMATE_URL" envDefault:"https://api.creatomate.com"`
	Key       Secret        `env:"CASTAD_CREATOMATE_KEY"`
	FirstLook time.Duration `env:"CASTAD_CREATOMATE_FIRST_LOOK" envDefault:"20s"`
	Look      time.Duration `env:"CASTAD_CREATOMATE_LOOK" envDefault:"10s"`
}

// YouTube is the channel that videos are published on.
type YouTube struct {
	API          string `env:"CASTAD_YOUTUBE_API_URL" envDefault:"https://www.googleapis.com"`
	Token        string `env:"CASTAD_YOUTUBE_TOKEN_URL" envDefault:"https://oauth2.googleapis.com/token"`
	Watch        string `env:"CASTAD_YOUTUBE_WATCH_URL" envDefault:"https://www.youtube.com"`
	ClientID     string `env:"CASTAD_YOUTUBE_CLIENT_ID"`
	ClientSecret Secret `env:"CASTAD_YOUTUBE_CLIENT_SECRET"`
	RefreshToken Secret `env:"CASTAD_YOUTUBE_REFRESH_TOKEN"`
}

// Instagram is the account that Reels are published on.
type Instagram struct {
	URL    string `env:"CASTAD_INSTAGRAM_URL" envDefault:"https://graph.instagram.com/v25.0"`
	Token  Secret `env:"CASTAD_INSTAGRAM_TOKEN"`
	UserID string `env:"CASTAD_INSTAGRAM_USER_ID"`
	// Look is the time between two looks at a video that Instagram works on.
	Look time.Duration `env:"CASTAD_INSTAGRAM_LOOK" envDefault:"10s"`
}

// Load fills a program's settings, a struct of the ones above, from getenv (os.Getenv; a test's own).
// The error names every variable that is missing or wrong.
func Load[T any](getenv func(string) string) (T, error) {
	var settings T
	params, err := env.GetFieldParams(&settings)
	if err != nil {
		return settings, fmt.Errorf("read settings: %w", err)
	}
	environment := map[string]string{}
	for _, p := range params {
		if value := getenv(p.Key); value != "" {
			environment[p.Key] = value
		}
	}
	if err := env.ParseWithOptions(&settings, env.Options{Environment: environment}); err != nil {
		return settings, fmt.Errorf("read settings: %w", err)
	}
	return settings, nil
}

// Program returns the name of this process for logs and leases: the program with its host and process id.
func Program(name string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s@%s/%d", name, host, os.Getpid())
}
