package asynqueue

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"castad/bench/system"
	"castad/internal/servers"
)

// redisReady is how long a Redis without data may take to answer.
const redisReady = 20 * time.Second

// startRedis starts a Redis server as one more program, and returns its address. It appends each change to a file and
// syncs that once a second, which is Redis' usual durable setting; snapshots beside it would only cost.
func startRedis(ctx context.Context, programs *system.Programs, dir string) (addr string, err error) {
	path, libraries, err := findRedis(ctx)
	if err != nil {
		return "", err
	}
	port, _, err := servers.FreePort(0)
	if err != nil {
		return "", fmt.Errorf("find a port for Redis: %w", err)
	}
	data := filepath.Join(dir, "redis")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return "", fmt.Errorf("make Redis' folder: %w", err)
	}
	cmd := exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", data, "--logfile", filepath.Join(data, "redis.log"),
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
	if err := programs.Run("redis", cmd, map[string]string{"LD_LIBRARY_PATH": libraries}); err != nil {
		return "", err
	}
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	if err := awaitRedis(ctx, addr); err != nil {
		log, _ := os.ReadFile(filepath.Join(data, "redis.log"))
		return "", fmt.Errorf("redis doesn't answer: %w; its log says: %s", err, log)
	}
	return addr, nil
}

// findRedis finds a server on this machine, or fetches one; libraries is where the loader finds what came with it.
func findRedis(ctx context.Context) (path, libraries string, err error) {
	if path, err := exec.LookPath("redis-server"); err == nil {
		return path, "", nil
	}
	root, err := servers.Cache{}.Packages(ctx, "redis", "redis-server")
	if err != nil {
		return "", "", fmt.Errorf("%w; or by hand: sudo apt-get install redis-server", err)
	}
	folders, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	if err != nil {
		return "", "", err
	}
	return filepath.Join(root, "usr/bin/redis-server"), strings.Join(folders, ":"), nil
}

func awaitRedis(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, redisReady)
	defer cancel()
	client := asynq.NewClient(asynq.RedisClientOpt{Addr: addr})
	defer client.Close()
	for {
		err := client.Ping()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
