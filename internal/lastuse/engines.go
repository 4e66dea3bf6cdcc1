package lastuse

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"gatehouse/internal/redisx"
)

// putScript writes days that are later than those that stand; the first day of all, which is named first, only where there is
// none yet.
var putScript = redisx.NewScript(`
for i = 2, #ARGV, 2 do
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  if not old or (ARGV[i] ~= ARGV[1] and old < ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return {1}`)

// fleet keeps days in one hash, by client.
type fleet struct{ redis *redisx.Client }

func (f fleet) key() string { return f.redis.Prefix() + ":lastuse" }

func (f fleet) put(ctx context.Context, days map[string]string) error {
	args := []any{since}
	for client, day := range days {
		args = append(args, client, day)
	}
	if err := f.redis.Run(ctx, putScript, []string{f.key()}, args...).Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

func (f fleet) all(ctx context.Context) (map[string]string, error) {
	days, err := f.redis.Cmd(f.key()).HGetAll(ctx, f.key()).Result()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return days, nil
}

var bucket = []byte("last_tokens") // client → day

// journal keeps days in a bbolt file, which no other process has open.
type journal struct{ db *bbolt.DB }

func openJournal(db *bbolt.DB) (*journal, error) {
	if db == nil {
		return nil, errors.New("without Redis, the days of clients' last tokens need a database")
	}
	err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	return &journal{db}, err
}

func (j *journal) put(_ context.Context, days map[string]string) error {
	return j.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		for client, day := range days {
			old := string(b.Get([]byte(client)))
			if old >= day || client == since && old != "" {
				continue
			}
			if err := b.Put([]byte(client), []byte(day)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (j *journal) all(context.Context) (map[string]string, error) {
	days := map[string]string{}
	err := j.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(client, day []byte) error {
			days[string(client)] = string(day)
			return nil
		})
	})
	return days, err
}
