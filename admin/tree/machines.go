package tree

import (
	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/task"
)

const yamlScalar = yaml.ScalarNode

// compile reads a condition about one thing.
func compile(a at, source string, env map[string]any) *vm.Program {
	if len(source) > maxSource {
		a.wrong("the condition has more than %d bytes; make it shorter", maxSource)
		return nil
	}
	p, err := expr.Compile(source, expr.Env(env), expr.AsBool(), expr.MaxNodes(500))
	if err != nil {
		a.wrong("the condition cannot be read: %v", err)
		return nil
	}
	return p
}

// hooks reads hooks: id, the definition in the directory's spelling, and the scopes of the role.
func (r *reader) hooks(a at) {
	a.each(func(id string, v at) {
		f := v.mapping("name", "description", "owner", "email-on-error", "schedule", "bindings", "task", "trigger-schema", "scopes")
		h := Hook{Place: v.place(), ID: r.once(v, "hook "+id, id)}
		if !hookID.MatchString(id) {
			v.wrong("the id of a hook is group/name, of letters, digits, - and _")
		}
		text := func(key string) string {
			if field, ok := f[key]; ok {
				return field.text()
			}
			return ""
		}
		name := text("name")
		if name == "" {
			name = id
		}
		meta := map[string]any{"name": name, "description": text("description"), "owner": text("owner"), "emailOnError": false}
		if meta["owner"] == "" {
			v.wrong("it has no owner; write an e-mail address")
		}
		if field, ok := f["email-on-error"]; ok {
			meta["emailOnError"] = field.truth()
		}
		schedule := []string{}
		if field, ok := f["schedule"]; ok {
			schedule = field.texts()
		}
		bindings := []any{}
		if field, ok := f["bindings"]; ok {
			field.items(func(item at) {
				b := item.mapping("exchange", "routing-key-pattern")
				exchange, one := b["exchange"]
				pattern, other := b["routing-key-pattern"]
				if !one || !other {
					item.wrong("it needs exchange and routing-key-pattern")
					return
				}
				bindings = append(bindings, map[string]any{"exchange": exchange.text(), "routingKeyPattern": pattern.text()})
			})
		}
		var schema any = map[string]any{"type": "object", "additionalProperties": false}
		if field, ok := f["trigger-schema"]; ok {
			schema = r.object(field)
		}
		t, ok := f["task"]
		if !ok {
			v.wrong("it has no task; write the template of one")
			return
		}
		h.Body = map[string]any{"metadata": meta, "schedule": schedule, "bindings": bindings, "task": r.object(t), "triggerSchema": schema}
		if field, ok := f["scopes"]; ok {
			h.Scopes = r.scopes(field)
			r.once(field, "role hook-id:"+id, id)
		}
		r.tree.Hooks = append(r.tree.Hooks, h)
	})
}

func (r *reader) object(a at) any {
	if a.Kind != yaml.MappingNode {
		a.wrong("it is %s; write a mapping", kindOf(a.Node))
		return map[string]any{}
	}
	return a.value()
}

// pools reads worker pools.
func (r *reader) pools(a at) {
	a.each(func(id string, v at) {
		f := v.mapping("provider", "description", "owner", "email-on-error", "config")
		p := Pool{Place: v.place(), ID: r.once(v, "worker-pool "+id, id)}
		if !task.IsQueueID(id) {
			v.wrong("the id of a worker pool is provisionerId/workerType, the second half of lower-case letters, digits and -")
		}
		p.Body = map[string]any{"description": "", "emailOnError": false, "config": map[string]any{}}
		for key, member := range map[string]string{"provider": "providerId", "description": "description", "owner": "owner"} {
			if field, ok := f[key]; ok {
				p.Body[member] = field.text()
			} else if key != "description" {
				v.wrong("it has no %s; write one (for machines that come by themselves, provider: static)", key)
			}
		}
		if field, ok := f["email-on-error"]; ok {
			p.Body["emailOnError"] = field.truth()
		}
		if field, ok := f["config"]; ok {
			p.Body["config"] = r.object(field)
		}
		r.tree.Pools = append(r.tree.Pools, p)
	})
}
