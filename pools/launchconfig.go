package pools

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/task"
)

// LaunchConfig is one way in which a pool's workers can be made, as it is on the wire.
type LaunchConfig struct {
	WorkerPoolID   string          `json:"workerPoolId"`
	LaunchConfigID string          `json:"launchConfigId"`
	IsArchived     bool            `json:"isArchived"`
	Configuration  json.RawMessage `json:"configuration"`
	Created        task.Time       `json:"created"`
	LastModified   task.Time       `json:"lastModified"`
}

// launchConfig is a launch config of a definition.
type launchConfig struct {
	id      string
	content json.RawMessage // as it stands, with its id in workerManager
	rest    string          // what it is without workerManager, in one way of writing
}

// poolConfig is what configs of pools have in common.
type poolConfig struct {
	MinCapacity  int               `json:"minCapacity"`
	MaxCapacity  int               `json:"maxCapacity"`
	ScalingRatio *float64          `json:"scalingRatio"`
	Lifecycle    lifecycle         `json:"lifecycle"`
	Configs      []json.RawMessage `json:"launchConfigs"`
	WorkerConfig json.RawMessage   `json:"workerConfig"` // of static pools
}

// lifecycle is when workers are given up, in seconds.
type lifecycle struct {
	Registration   int `json:"registrationTimeout"`
	Reregistration int `json:"reregistrationTimeout"`
	Inactivity     int `json:"queueInactivityTimeout"`
}

func readPoolConfig(text json.RawMessage) (c poolConfig, err error) {
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fault.New(fault.BadInput, "The config cannot be used: %v.", err)
	}
	return c, nil
}

// readConfigs reads the launch configs of a pool's config. One without an id gets one that follows from the
// pool and from what it says, its workerManager apart: so weights can change, and nothing else, without
// making another config of it.
func readConfigs(poolID string, config json.RawMessage) ([]launchConfig, error) {
	pool, err := readPoolConfig(config)
	if err != nil {
		return nil, err
	}
	list := make([]launchConfig, 0, len(pool.Configs))
	for i, text := range pool.Configs {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(text, &members); err != nil {
			return nil, fault.New(fault.BadInput, "config.launchConfigs.%d is no object.", i)
		}
		manager := map[string]any{}
		if m, ok := members["workerManager"]; ok {
			if err := json.Unmarshal(m, &manager); err != nil {
				return nil, fault.New(fault.BadInput, "config.launchConfigs.%d.workerManager is no object.", i)
			}
		}
		delete(members, "workerManager")
		rest, err := canonical(members)
		if err != nil {
			return nil, err
		}
		id, _ := manager["launchConfigId"].(string)
		if id == "" {
			sum := sha256.Sum256([]byte(poolID + "\n" + rest))
			id = "lc-" + hex.EncodeToString(sum[:])[:20]
			manager["launchConfigId"] = id
		}
		if slices.ContainsFunc(list, func(l launchConfig) bool { return l.id == id }) {
			return nil, fault.New(fault.Invalid, "config.launchConfigs.%d: there is another launch config %s before it; give each its own workerManager.launchConfigId.", i, id)
		}
		if members["workerManager"], err = json.Marshal(manager); err != nil {
			return nil, err
		}
		content, err := json.Marshal(members)
		if err != nil {
			return nil, err
		}
		if _, err := settings(content); err != nil {
			return nil, err
		}
		list = append(list, launchConfig{id, content, rest})
	}
	return list, nil
}

// canonical writes a value in one way, whatever the order of its members.
func canonical(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	var any any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&any); err != nil {
		return "", err
	}
	out, err := json.Marshal(any)
	return string(out), err
}

// rest is a stored launch config without its workerManager.
func rest(content json.RawMessage) (string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(content, &members); err != nil {
		return "", err
	}
	delete(members, "workerManager")
	return canonical(members)
}

// saveConfigs makes a pool's launch configs those of its definition: others are archived.
func saveConfigs(ctx context.Context, tx pgx.Tx, poolID, providerID string, configs []launchConfig) error {
	rows, err := tx.Query(ctx, configsSQL.Text, poolID)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, scanConfig)
	if err != nil {
		return err
	}
	old := map[string]LaunchConfig{}
	for _, c := range found {
		old[c.LaunchConfigID] = c
	}
	for _, c := range configs {
		kind, err := saveConfig(ctx, tx, poolID, c, old)
		if err != nil {
			return err
		}
		delete(old, c.id)
		if kind == "" {
			continue
		}
		if err := tell(ctx, tx, kind, message{WorkerPoolID: poolID, ProviderID: providerID, LaunchConfigID: c.id}); err != nil {
			return err
		}
	}
	for _, c := range found {
		if _, left := old[c.LaunchConfigID]; !left || c.IsArchived {
			continue
		}
		if _, err := tx.Exec(ctx, archiveConfigSQL.Text, poolID, c.LaunchConfigID); err != nil {
			return err
		}
		if err := tell(ctx, tx, configArchived, message{WorkerPoolID: poolID, ProviderID: providerID, LaunchConfigID: c.LaunchConfigID}); err != nil {
			return err
		}
	}
	return nil
}

// saveConfig writes one launch config, and names the event that this is.
func saveConfig(ctx context.Context, tx pgx.Tx, poolID string, c launchConfig, old map[string]LaunchConfig) (kind string, err error) {
	before, there := old[c.id]
	if !there {
		_, err := tx.Exec(ctx, insertConfigSQL.Text, poolID, c.id, string(c.content))
		return configCreated, err
	}
	same, err := rest(before.Configuration)
	if err != nil {
		return "", fmt.Errorf("stored launch config %s: %w", c.id, err)
	}
	if same != c.rest {
		return "", fault.New(fault.Conflict, "The launch config %s of %s has another meaning already; give the changed one another workerManager.launchConfigId.", c.id, poolID)
	}
	if !before.IsArchived && string(before.Configuration) == string(c.content) {
		return "", nil
	}
	_, err = tx.Exec(ctx, updateConfigSQL.Text, poolID, c.id, string(c.content))
	return configUpdated, err
}

func scanConfig(row pgx.CollectableRow) (c LaunchConfig, err error) {
	err = row.Scan(&c.WorkerPoolID, &c.LaunchConfigID, &c.Configuration, &c.IsArchived, &c.Created.Time, &c.LastModified.Time)
	c.Created, c.LastModified = task.At(c.Created.Time), task.At(c.LastModified.Time)
	return c, err
}

// LaunchConfigs lists a pool's launch configs after an id, at most limit, by id; those that are archived only
// if asked for.
func (p *Pools) LaunchConfigs(ctx context.Context, poolID string, archived bool, after string, limit int) ([]LaunchConfig, error) {
	if _, err := p.Get(ctx, poolID); err != nil {
		return nil, err
	}
	rows, err := p.Pool.Query(ctx, listConfigsSQL.Text, poolID, archived, after, limit)
	if err != nil {
		return nil, failed("list launch configs", err)
	}
	list, err := pgx.CollectRows(rows, scanConfig)
	return list, failed("list launch configs", err)
}

// ConfigStats is what workers there are of a launch config.
type ConfigStats struct {
	WorkerPoolID   string `json:"workerPoolId"`
	LaunchConfigID string `json:"launchConfigId"`
	Stats
}

// ConfigStats tells what workers there are of each launch config of a pool, archived ones too.
func (p *Pools) ConfigStats(ctx context.Context, poolID string) ([]ConfigStats, error) {
	if _, err := p.Get(ctx, poolID); err != nil {
		return nil, err
	}
	rows, err := p.Pool.Query(ctx, configStatsSQL.Text, poolID)
	if err != nil {
		return nil, failed("stats of launch configs", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c ConfigStats, err error) {
		c.WorkerPoolID = poolID
		return c, row.Scan(append([]any{&c.LaunchConfigID}, c.Stats.into()...)...)
	})
	return list, failed("stats of launch configs", err)
}

// settings reads what launch configs have in common.
func settings(content json.RawMessage) (s provider.Settings, err error) {
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fault.New(fault.BadInput, "A launch config cannot be used: %v.", err)
	}
	if perInstance(&s) > maxCapacity {
		return s, fault.New(fault.BadInput, "A launch config cannot be used: its capacityPerInstance is more than %d.", maxCapacity)
	}
	return s, nil
}

// perInstance is how many tasks a worker of a launch config can run at once.
func perInstance(s *provider.Settings) int {
	return max(1, s.WorkerManager.CapacityPerInstance, s.CapacityPerInstance)
}

const configColumns = `worker_pool_id, launch_config_id, configuration, is_archived, created, last_modified`

var (
	configsSQL = pg.Statement{Name: "pools.configs", Text: `
SELECT ` + configColumns + ` FROM launch_configs WHERE worker_pool_id = $1 ORDER BY launch_config_id`}

	insertConfigSQL = pg.Statement{Name: "pools.insert-config", Text: `
INSERT INTO launch_configs (worker_pool_id, launch_config_id, configuration) VALUES ($1, $2, $3::text::json)`}

	updateConfigSQL = pg.Statement{Name: "pools.update-config", Text: `
UPDATE launch_configs SET configuration = $3::text::json, is_archived = false, last_modified = now()
WHERE worker_pool_id = $1 AND launch_config_id = $2`}

	archiveConfigSQL = pg.Statement{Name: "pools.archive-config", Text: `
UPDATE launch_configs SET is_archived = true, last_modified = now() WHERE worker_pool_id = $1 AND launch_config_id = $2`}

	listConfigsSQL = pg.Statement{Name: "pools.list-configs", Text: `
SELECT ` + configColumns + ` FROM launch_configs
WHERE worker_pool_id = $1 AND ($2 OR NOT is_archived) AND launch_config_id > $3 ORDER BY launch_config_id LIMIT $4`}

	configStatsSQL = pg.Statement{Name: "pools.config-stats", Text: `
SELECT id,` + statsColumns + `
FROM (SELECT launch_config_id AS id, state, capacity FROM pool_workers WHERE worker_pool_id = $1 AND launch_config_id IS NOT NULL
    UNION ALL SELECT launch_config_id, 'requested', capacity FROM worker_launches WHERE worker_pool_id = $1
    UNION ALL SELECT launch_config_id, NULL, 0 FROM launch_configs WHERE worker_pool_id = $1) w
GROUP BY id ORDER BY id`}

	oneConfigSQL = pg.Statement{Name: "pools.config", Text: `
SELECT configuration FROM launch_configs WHERE worker_pool_id = $1 AND launch_config_id = $2`}

	// The places where a provider may have workers.
	providerConfigsSQL = pg.Statement{Name: "pools.provider-configs", Text: `
SELECT c.configuration FROM launch_configs c JOIN worker_pools p USING (worker_pool_id)
WHERE p.provider_id = $1 OR $1 = ANY (p.previous_provider_ids)
   OR EXISTS (SELECT FROM pool_workers w WHERE w.worker_pool_id = c.worker_pool_id AND w.provider_id = $1)`}
)
