package serveflags

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/treeline-ci/treeline/app"
)

// keepFlags adds a flag for each thing that goes when it is old.
func keepFlags(flags *pflag.FlagSet, keep map[string]time.Duration) {
	for _, k := range app.Keeps() {
		flags.Var(&age{keep, k.Name}, "keep-"+k.Name, fmt.Sprintf("how long to keep %s (default %s, at least %s)", k.What, app.Days(k.Default), app.Days(k.Least)))
	}
}

// age is a flag whose value is a time such as 90d, 12w, 2y or 36h.
type age struct {
	into map[string]time.Duration
	name string
}

func (a *age) String() string {
	if a.into == nil || a.into[a.name] == 0 {
		return ""
	}
	return app.Days(a.into[a.name])
}

func (a *age) Type() string { return "age" }

func (a *age) Set(text string) error {
	d, err := parseAge(text)
	if err != nil {
		return err
	}
	a.into[a.name] = d
	return nil
}

// parseAge reads a number of days, weeks or years, or whatever time.ParseDuration knows.
func parseAge(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	for unit, long := range map[string]time.Duration{"d": day, "w": 7 * day, "y": 365 * day} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			if n, err := strconv.Atoi(number); err == nil && n > 0 && n <= 36500 && time.Duration(n) <= 100*365*day/long {
				return time.Duration(n) * long, nil
			}
			return 0, fmt.Errorf("%q is no time such as 90d, 12w, 2y or 36h", text)
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no time such as 90d, 12w, 2y or 36h", text)
	}
	return d, nil
}
