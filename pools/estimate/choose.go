package estimate

import "time"

// Config is a launch config to choose.
type Config struct {
	ID          string
	Weight      float64 // initialWeight, 0 to 1
	PerInstance int     // capacity of a worker; 1 or more
	Max         int     // most capacity of this config's workers; negative: no limit of its own
	Existing    int     // capacity that there is, of workers not stopped
	Errors      int     // in the last hour
}

// lastWeight is what the only config that can be used has at least: errors do not end a pool.
const lastWeight = 0.01

// room says whether another worker of the config may be launched.
func (c *Config) room() bool { return c.Max < 0 || c.Existing+c.PerInstance <= c.Max }

// weight is how likely a config is chosen: less as it fills, and as its errors are more of all errors.
func (c *Config) weight(errors int) float64 {
	w := c.Weight
	if c.Max > 0 {
		w -= float64(c.Existing) / float64(c.Max)
	}
	if errors > 0 {
		w -= float64(c.Errors) / float64(errors)
	}
	return max(0, w)
}

// Now is the weight that a config has now, where all of a pool had so many errors in the last hour.
func (c *Config) Now(errors int) float64 { return c.weight(errors) }

// Launch configs that the provider refused are left alone for a while.
const (
	firstPause = 10 * time.Second
	lastPause  = 10 * time.Minute
)

// Pause is how long a launch config is left alone that the provider refused so often since it last made a
// worker of it.
func Pause(refused int) time.Duration {
	if refused <= 0 {
		return 0
	}
	return min(firstPause<<min(refused-1, 10), lastPause)
}

// Choose picks the launch configs of as many workers as give the capacity asked for, one entry a worker: an
// index into configs, whose Existing grow. headroom is how much capacity may be added at most; a worker larger
// than that is chosen only where nothing is there yet, so that a pool is not too small for its only config. It
// may choose fewer than asked, when configs are full. random gives numbers from 0 up to 1.
func Choose(configs []Config, spawn, headroom, existing int, random func() float64) (chosen []int) {
	errors := 0
	for i := range configs {
		errors += configs[i].Errors
	}
	for spawn > 0 {
		i := pick(configs, errors, headroom, existing == 0, random)
		if i < 0 {
			return chosen
		}
		c := &configs[i]
		c.Existing += c.PerInstance
		spawn, headroom, existing = spawn-c.PerInstance, headroom-c.PerInstance, existing+c.PerInstance
		chosen = append(chosen, i)
	}
	return chosen
}

// pick chooses a config, -1 when none can be used.
func pick(configs []Config, errors, headroom int, first bool, random func() float64) int {
	usable := func(c *Config) bool {
		return c.Weight > 0 && c.PerInstance > 0 && c.room() && (c.PerInstance <= headroom || first && headroom > 0)
	}
	total, count, last := 0.0, 0, -1
	for i := range configs {
		if usable(&configs[i]) {
			total += configs[i].weight(errors)
			count, last = count+1, i
		}
	}
	if count == 0 {
		return -1
	}
	if count == 1 {
		total = max(total, lastWeight)
	}
	if total == 0 {
		// Each fails as often as it could: none is better than another, and none at all would be worse.
		skip := int(random() * float64(count))
		for i := range configs {
			if usable(&configs[i]) {
				if skip == 0 {
					return i
				}
				skip--
			}
		}
		return last
	}
	at := random() * total
	for i := range configs {
		if !usable(&configs[i]) {
			continue
		}
		if at -= configs[i].weight(errors); at < 0 {
			return i
		}
	}
	return last
}
