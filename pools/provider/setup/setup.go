// Package setup makes the providers that an operator configures in a file.
package setup

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/aws"
	"github.com/treeline-ci/treeline/pools/provider/azure"
	"github.com/treeline-ci/treeline/pools/provider/container"
	"github.com/treeline-ci/treeline/pools/provider/gcp"
	"github.com/treeline-ci/treeline/pools/provider/local"
	"github.com/treeline-ci/treeline/pools/provider/static"
)

// Setting is the environment variable that names the file with a Config.
const Setting = "TREELINE_POOLS"

// Static is the provider that is there without configuration.
const Static = "static"

// Config is the file: providers by their ids.
type Config struct {
	Providers map[string]yaml.Node `yaml:"providers"`

	file string // for errors
}

// Deps are what providers need of the server.
type Deps struct {
	RootURL string
	Secret  []byte // workers that the server itself launches show what is made with it
	Program string // the treeline program, for local workers
	Log     *slog.Logger
}

// Load reads the file; with "" there is none, and only the static provider.
func Load(path string) (Config, error) {
	c := Config{file: path}
	if path == "" {
		return c, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("%s: %w", Setting, err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		return c, fault.New(fault.Invalid, "%s: %s: %v", Setting, path, err)
	}
	return c, nil
}

// Make makes the providers. They outlive ctx.
func (c Config) Make(ctx context.Context, d Deps) (map[string]provider.Provider, error) {
	out := map[string]provider.Provider{}
	for id, node := range c.Providers {
		var kind struct {
			Type string `yaml:"type"`
		}
		if err := node.Decode(&kind); err != nil {
			return nil, c.wrong(id, &node, err)
		}
		p, err := c.makeOne(ctx, id, kind.Type, &node, d)
		if err != nil {
			return nil, c.wrong(id, &node, err)
		}
		out[id] = p
	}
	if _, there := out[Static]; !there {
		out[Static] = static.Provider{}
	}
	return out, nil
}

func (c Config) wrong(id string, node *yaml.Node, err error) error {
	return fault.New(fault.Invalid, "%s:%d: provider %s: %v", c.file, node.Line, id, err)
}

// kinds makes providers by their types.
func kinds(ctx context.Context) map[string]func(id string, node *yaml.Node, d Deps) (provider.Provider, error) {
	return map[string]func(id string, node *yaml.Node, d Deps) (provider.Provider, error){
		"static": func(_ string, node *yaml.Node, _ Deps) (provider.Provider, error) {
			var none struct {
				Type string `yaml:"type"`
			}
			return static.Provider{}, strict(node, &none)
		},
		"local": func(_ string, node *yaml.Node, d Deps) (provider.Provider, error) {
			c := local.Config{Program: d.Program, Secret: d.Secret}
			if err := strict(node, &c); err != nil {
				return nil, err
			}
			return local.New(c, d.Log)
		},
		"aws": func(id string, node *yaml.Node, d Deps) (provider.Provider, error) {
			c := aws.Config{ProviderID: id, RootURL: d.RootURL}
			if err := strict(node, &c); err != nil {
				return nil, err
			}
			return aws.New(c)
		},
		"google": func(id string, node *yaml.Node, d Deps) (provider.Provider, error) {
			c := gcp.Config{ProviderID: id, RootURL: d.RootURL}
			if err := strict(node, &c); err != nil {
				return nil, err
			}
			return gcp.New(ctx, c)
		},
		"azure": func(id string, node *yaml.Node, d Deps) (provider.Provider, error) {
			c := azure.Config{ProviderID: id, RootURL: d.RootURL, Secret: d.Secret}
			if err := strict(node, &c); err != nil {
				return nil, err
			}
			return azure.New(c)
		},
		"container": func(_ string, node *yaml.Node, d Deps) (provider.Provider, error) {
			c := container.Config{Secret: d.Secret, Server: d.RootURL}
			if err := strict(node, &c); err != nil {
				return nil, err
			}
			return container.New(c)
		},
	}
}

func (c Config) makeOne(ctx context.Context, id, kind string, node *yaml.Node, d Deps) (provider.Provider, error) {
	all := kinds(ctx)
	f := all[kind]
	if f == nil {
		var names []string
		for name := range all {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil, fault.New(fault.Invalid, "type %q is none of %s", kind, strings.Join(names, ", "))
	}
	return f(id, node, d)
}

// strict decodes a provider's settings and refuses those it does not know.
func strict(node *yaml.Node, v any) error {
	text, err := yaml.Marshal(node)
	if err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	return dec.Decode(v)
}
