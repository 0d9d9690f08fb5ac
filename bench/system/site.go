package system

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"castad/internal/servers"
)

// What PlayAll and OpenSite tell the roles of a system.
const (
	EnvDSN   = "CASTAD_BENCH_DSN"   // of the database
	EnvStage = "CASTAD_BENCH_STAGE" // that a program does
	EnvAddr  = "CASTAD_BENCH_ADDR"  // host:port where tasks are accepted
)

// Door is where ServeAccept takes tasks.
type Door struct {
	url     string
	payload []byte
}

// Accept hands a task of PayloadBytes in.
func (d Door) Accept(ctx context.Context) (string, error) { return Post(ctx, d.url, d.payload, nil) }

// PlayAll starts a program for each stage in the role "<system>/stage", and then the accepting one as "<system>/api".
func (p *Programs) PlayAll(ctx context.Context, system string, env map[string]string) (Door, error) {
	port, _, err := servers.FreePort(0)
	if err != nil {
		return Door{}, fmt.Errorf("find a port for the accepting program: %w", err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	env = maps.Clone(env)
	env[EnvAddr] = addr
	for _, stage := range Stages {
		env[EnvStage] = stage
		if err := p.Play(ctx, stage, system+"/stage", env); err != nil {
			return Door{}, err
		}
	}
	return Door{url: "http://" + addr + "/tasks", payload: Payload()}, p.Play(ctx, "api", system+"/api", env)
}

// Site is a system whose statuses are in a MariaDB of its own, with Schema or one of the system's.
type Site struct {
	*Programs
	Door
	Database *servers.MariaDB
	Admin    *sql.DB // may change the schema; for the tables, and the audit
	DSN      string  // for programs
}

// OpenSite starts the database; nothing else runs yet, and there are no tables.
func OpenSite(ctx context.Context, dir string) (*Site, error) {
	database, dsn, err := StartMariaDB(ctx, dir)
	if err != nil {
		return nil, err
	}
	admin, err := OpenMariaDB(database.AdminDSN("castad"), 2)
	if err != nil {
		database.Stop()
		return nil, err
	}
	return &Site{Programs: NewPrograms(dir), Database: database, Admin: admin, DSN: dsn}, nil
}

// Processes are the programs and the database.
func (s *Site) Processes() map[string]int {
	all := s.Programs.Processes()
	all["database"] = s.Database.Process()
	return all
}

// Audit reads the records of Schema.
func (s *Site) Audit(ctx context.Context) (Audit, error) { return AuditSchema(ctx, s.Admin) }

// Stop ends the programs and the database.
func (s *Site) Stop() {
	s.Programs.Stop()
	s.Admin.Close()
	s.Database.Stop()
}
