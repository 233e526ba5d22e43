package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usageAge is for how long what was counted is good enough: a cache has many files.
const usageAge = 5 * time.Minute

// A Usage is what a cache has.
type Usage struct {
	Paths int
	Bytes int64 // of archives
}

// Usage returns what the cache has, as counted within the last five minutes.
func (c *Cache) Usage() (Usage, error) {
	c.counting.Lock()
	defer c.counting.Unlock()
	now := c.now()
	if now.Sub(c.counted) < usageAge && !now.Before(c.counted) {
		return c.usage, nil
	}
	usage, err := c.count()
	if err != nil {
		return Usage{}, fmt.Errorf("count what is in cache %s: %w", c.dir, err)
	}
	c.usage, c.counted = usage, now
	return usage, nil
}

func (c *Cache) count() (Usage, error) {
	var u Usage
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return u, err
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), narInfoSuffix) {
			u.Paths++
		}
	}
	archives, err := os.ReadDir(filepath.Join(c.dir, "nar"))
	if err != nil {
		return u, err
	}
	for _, f := range archives {
		stat, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned just now
		}
		if err != nil {
			return u, err
		}
		u.Bytes += stat.Size()
	}
	return u, nil
}

// Free returns how many bytes may still be written to the cache's file system.
func (c *Cache) Free() (uint64, error) {
	var space unix.Statfs_t
	if err := unix.Statfs(c.dir, &space); err != nil {
		return 0, fmt.Errorf("look for room in cache %s: %w", c.dir, err)
	}
	return space.Bavail * uint64(space.Bsize), nil //nolint:gosec // no file system has blocks of a negative size
}
